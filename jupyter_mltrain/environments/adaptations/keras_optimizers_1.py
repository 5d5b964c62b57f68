"""The optimizers of TensorFlow 2.0 to 2.10, in their old place.

`tf.keras.optimizers` of 2.11 and 2.12 has new ones, which take `lr=` and leave it out, and refuse `decay=`. Those before
them are still there, as `tf.keras.optimizers.legacy`.
"""

import sys

# One file, which Python knows as two modules: that of `tf.keras`, and that of `from tensorflow.keras.optimizers import …`.
_MODULES = ("keras.api._v2.keras.optimizers", "tensorflow.keras.optimizers")


class _Finder:
    """Stands before the others, so that a start of Python imports nothing more than this."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in _MODULES:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def load_and_adapt(module):
            load(module)
            from keras.api._v2.keras.optimizers import legacy

            for optimizer in vars(legacy):
                if not optimizer.startswith("_"):
                    setattr(module, optimizer, getattr(legacy, optimizer))

        spec.loader.exec_module = load_and_adapt
        return spec


sys.meta_path.insert(0, _Finder)
