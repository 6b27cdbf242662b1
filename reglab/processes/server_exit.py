"""Imported in the server of forks, and nowhere else: with it that ends at once when whoever it forks for has ended.

Taking down what it has imported would keep it for a second or two. It has nothing to save, and its forks take no part: they leave
what a server has registered for its exit behind.
"""

import atexit
import os

atexit.register(os._exit, 0)
