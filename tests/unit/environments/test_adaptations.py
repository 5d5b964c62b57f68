"""Small modules in an environment that make it fit scripts of another time."""

import subprocess
from dataclasses import replace

import pytest

from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.errors import UsageError

OPTIMIZERS = {
    "keras/__init__.py": b"",
    "keras/api/__init__.py": b"",
    "keras/api/_v2/__init__.py": b"",
    "keras/api/_v2/keras/__init__.py": b"",
    "keras/api/_v2/keras/optimizers/__init__.py": b"from . import legacy\nAdam = AdamW = 'new'\n",
    "keras/api/_v2/keras/optimizers/legacy/__init__.py": b"Adam = 'old'\n_private = 1\n",
}
# As in TensorFlow, whose `tensorflow.keras` is the same folder.
TENSORFLOW = b"import os, keras\n__path__ = [*__path__, os.path.dirname(keras.__file__) + '/api/_v2']\n"
CODE = """
import sys
assert "keras" not in sys.modules
import keras.api._v2.keras.optimizers as optimizers
from tensorflow.keras.optimizers import Adam
print(optimizers.Adam, optimizers.AdamW, Adam, hasattr(optimizers, "_private"))
"""


def test_optimizers_are_in_their_old_place(index, environments):
    index.wheel("keras", files=OPTIMIZERS)
    index.wheel("tensorflow", files={"tensorflow/__init__.py": TENSORFLOW})
    said = {}
    for name, adaptations in (("new", ()), ("old", ("keras_optimizers_1",))):
        definition = EnvironmentDefinition(name, pip=("keras", "tensorflow"), adaptations=adaptations)
        environments.register(definition, log=lambda _: None)
        python = environments.prepare(name, log=lambda _: None).prepared.python
        said[name] = subprocess.run([python, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert said == {"new": "new new new False\n", "old": "old new old False\n"}


def test_they_count_for_the_key():
    lock = EnvironmentLock("a==1", "3.11", "linux", adaptations=("keras_optimizers_1",))
    assert EnvironmentLock.loads(lock.dumps()) == lock
    assert lock.key != replace(lock, adaptations=()).key


def test_one_that_does_not_exist(environments):
    with pytest.raises(UsageError, match="no adaptation 'other'"):
        environments.register(EnvironmentDefinition("mine", adaptations=("other",)), log=lambda _: None)
