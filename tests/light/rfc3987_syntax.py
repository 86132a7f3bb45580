"""In place of an optional part of jsonschema that nothing here uses, and that takes longer to load than all the rest.

With this folder on PYTHONPATH tools of Jupyter start in a third of the time, as they do where it is not installed.
"""

raise ImportError("left out")
