"""Item response theory: how able are the students, how hard are the items."""
