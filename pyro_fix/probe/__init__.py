"""What runs inside the child, beside the user's own torch and Pyro: records what the program does.

It is loaded under the name ``_pyro_fix_probe`` from this folder, without putting anything else of ours on the
child's path, and it uses the standard library, torch and Pyro alone (syntax of Python 3.8).  It must never
raise into the user's program and never warn.
"""
