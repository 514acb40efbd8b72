"""For every test."""

import signal

# Whoever starts us in the background may have had Ctrl-C ignored, which children inherit; the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
