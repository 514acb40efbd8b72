"""Static facts about Pyro programs.  Nothing here imports torch, pyro or libcst."""
