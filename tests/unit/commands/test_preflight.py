"""Pre-flight against the cells people write: no false alarm on good ones, the right words on bad ones."""

from __future__ import annotations

import math
import types
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.commands.preflight import Script, check
from jupyter_mltrain.errors import PreflightError

# A kernel in which everything that the snippets could lack exists: a false alarm would be an error, not a notice.
EVERYWHERE: dict[str, Any] = dict.fromkeys(
    [
        "x",
        "y",
        "z",
        "i",
        "e",
        "f",
        "a",
        "b",
        "c",
        "d",
        "k",
        "v",
        "n",
        "np",
        "pd",
        "tf",
        "plt",
        "os",
        "sys",
        "model",
        "history",
        "prev",
        "total",
        "data",
        "item",
        "name",
        "self",
        "args",
        "run",
        "lr",
        "acc",
        "loss",
        "batch",
        "step",
        "epoch",
        "x_train",
        "y_train",
        "x_test",
        "ds",
        "fn",
        "Model",
        "Point",
        "cfg",
        "row",
        "config",
        "key",
        "value",
        "parser",
        "log",
        "results",
        "first",
        "rest",
        "inner",
        "outer",
        "optimizer",
        "T",
        "Config",
        "w",
    ],
    object(),
)

GOOD = {
    "plain": "x = 1\nprint(x)",
    "imports": "import os, sys\nimport os.path as p\nfrom pathlib import Path as P\nprint(os, sys, p, P)",
    "dotted import": "import xml.etree.ElementTree\nprint(xml)",
    "import under a condition": "try:\n    import ujson as json\nexcept ImportError:\n    import json\nprint(json)",
    "import in a branch": "import sys\nif sys.version_info > (3,):\n    import queue\nelse:\n    import Queue as queue\nprint(queue)",
    "star import": "from math import *\nprint(sin(x))",
    "list comprehension": "print([a for b in [[1]] for a in b])",
    "dict and set comprehension": "print({k: v for k, v in {}.items()}, {e for e in ()})",
    "generator": "print(sum(x * x for x in range(3)))",
    "nested comprehension": "n = 3\nprint([[i * k * n for i in range(k)] for k in range(n)])",
    "comprehension in a class": "class A:\n    n = 3\n    a = [i for i in range(n)]\nprint(A)",
    "lambda": "f = lambda a, *b, c=1, **d: (a, b, c, d)\nf(1)",
    "walrus": "if (n := 3) > 2:\n    print(n)",
    "walrus in a comprehension": "print([y for x in range(3) if (y := x)], y)",
    "function before its helper": "def f():\n    return g()\ndef g():\n    return 1\nf()",
    "recursion": "def f(n):\n    return n and f(n - 1)\nf(3)",
    "closure": "def outer():\n    x = 1\n    def inner():\n        nonlocal x\n        x += 1\n        return x\n    return inner\nouter()()",
    "global in a function": "def f():\n    global total\n    total = 1\nf()\nprint(total)",
    "global declared and used": "total = 0\ndef f():\n    global total\n    total += 1\nf()",
    "loop variable afterwards": "for i in range(3):\n    pass\nprint(i)",
    "previous value in a loop": "for i in range(3):\n    if i:\n        print(prev)\n    prev = i",
    "while and else": "n = 3\nwhile n:\n    n -= 1\nelse:\n    print(n)",
    "with": "with open(__file__) as f:\n    print(f.read())",
    "several withs": "with open('a') as a, open('b') as (b):\n    print(a, b)",
    "except as": "try:\n    pass\nexcept Exception as e:\n    print(e)",
    "except a name": "try:\n    x\nexcept NameError:\n    x = None\nprint(x)",
    "except a name, bare": "try:\n    get_ipython()\n    in_notebook = True\nexcept:\n    in_notebook = False\nprint(in_notebook)",
    "delete": "x = 1\ndel x",
    "delete an item": "x = {1: 2}\ndel x[1]",
    "unpacking": "a, (b, *c) = 1, (2, 3, 4)\nfirst, *rest = [a, b, c]\nprint(first, rest)",
    "augmented": "x = 1\nx += 1",
    "annotated": "x: int = 1\ny: 'Unknown' = 2\nprint(x, y)",
    "only annotated, then set": "x: int\nx = 3\nprint(x)",
    "string annotations": "def f(a: 'tf.Tensor') -> 'np.ndarray': ...\nf(1)",
    "future annotations": "from __future__ import annotations\ndef f(a: tf.Tensor, b: list[np.ndarray]) -> Model: ...\nf(1, 2)",
    "type checking": "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy as np\ndef f(a: np.ndarray): ...",
    "class": "class Model:\n    size = 3\n    twice = size * 2\n    def __init__(self):\n        super().__init__()\n        self.a = Model.size\n    @property\n    def b(self):\n        return __class__\nModel()",
    "dataclass": "from dataclasses import dataclass, field\n@dataclass\nclass Point:\n    x: float = 0\n    y: list = field(default_factory=list)\nprint(Point())",
    "decorator": "import functools\n@functools.cache\ndef f(x): return x\nf(1)",
    "match": "x = [1, 2]\nmatch x:\n    case [a, *b]:\n        print(a, b)\n    case {'k': v, **rest}:\n        print(v, rest)\n    case str(name) | name:\n        print(name)",
    "async": "import asyncio\nasync def f():\n    async with asyncio.timeout(1) as t:\n        return [x async for x in g(t)]\nasync def g(t):\n    yield t\nasyncio.run(f())",
    "f-string": "x = 1.5\nprint(f'{x:.2f} {x!r} {x=} {\"{\"}')",
    "f-string nested format": "w = 10\nx = 3\nprint(f'{x:{w}}')",
    "docstring and names of a module": '"""Doc."""\nprint(__name__, __file__, __doc__, __builtins__, __spec__, __package__)',
    "main guard": "def main():\n    print(1)\nif __name__ == '__main__':\n    main()",
    "builtins": "print(len, range, open, exit, quit, NotImplemented, Ellipsis, __import__, __debug__)",
    "exec": "exec('x = 1')\nprint(x)",
    "globals": "globals()['x'] = 1\nprint(x)",
    "in globals": "if 'x' not in globals():\n    x = 1\nprint(x)",
    "dead branch": "if False:\n    print(x_train)",
    "never called conditional": "import sys\nDEBUG = '--debug' in sys.argv\nif DEBUG:\n    import pdb as z\n    z.set_trace()",
    "percent and bang in text": "print('%d%%' % 3, '!ls', '''\n%matplotlib inline\n!pip install x\n''')",
    "invalid escape": "import re\nprint(re.compile('\\d'))",
    "semicolons and comments": "x = 1; y = x  # !pip\n# %matplotlib inline\nprint(y)",
    "line continuation": "x = 1 + \\\n    2\nprint(x)",
    "type alias": "from typing import TypeVar, Generic\nT = TypeVar('T')\nclass A(Generic[T]):\n    def f(self, x: T) -> T: return x\nA()",
    "nested functions and defaults": "n = 3\ndef f(a=n, *, b=[i for i in range(n)]):\n    return lambda: (a, b)\nf()",
    "exception group": "try:\n    pass\nexcept* ValueError as e:\n    print(e)",
    "empty but for a comment": "# nothing yet\n",
    "argparse": "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--lr', type=float, default=0.1)\nargs = parser.parse_args()\nprint(args.lr)",
    "keras": """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from jupyter_mltrain import Run
run = Run.get_context()
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
model = keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
class Log(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            run.log(name, value, step=epoch)
history = model.fit(x_train / 255.0, y_train, epochs=2, callbacks=[Log()])
loss, acc = model.evaluate(x_test / 255.0, y_test, verbose=0)
model.save("outputs/model.keras")
""",
    "custom training loop": """
import tensorflow as tf
optimizer = tf.keras.optimizers.Adam()
@tf.function
def train_step(batch, target):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(batch) - target) ** 2)
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
    return loss
model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
for epoch in range(3):
    for step, (batch, target) in enumerate(tf.data.Dataset.range(3).map(lambda i: (i, i))):
        loss = train_step(batch, target)
""",
    "the article's script": """
import argparse, glob, gzip, os, struct
import numpy as np
def load_data(filename, label=False):
    with gzip.open(filename) as gz:
        struct.unpack('I', gz.read(4))
        n_items = struct.unpack('>I', gz.read(4))
        if not label:
            n_rows = struct.unpack('>I', gz.read(4))[0]
            n_cols = struct.unpack('>I', gz.read(4))[0]
            res = np.frombuffer(gz.read(n_items[0] * n_rows * n_cols), dtype=np.uint8)
            res = res.reshape(n_items[0], n_rows * n_cols)
        else:
            res = np.frombuffer(gz.read(n_items[0]), dtype=np.uint8)
    return res
parser = argparse.ArgumentParser()
parser.add_argument('--data-folder', type=str, dest='data_folder')
args = parser.parse_args()
X_train = load_data(glob.glob(os.path.join(args.data_folder, '**/train-images-idx3-ubyte.gz'), recursive=True)[0], False) / np.float32(255.0)
""",
    "multiprocessing": "import os\ndef worker(n):\n    return n ** 2\nif __name__ == '__main__':\n    from multiprocessing import Pool\n    with Pool(os.cpu_count()) as pool:\n        print(pool.map(worker, range(3)))",
    "conditional definition": "import random\nif random.random() > 0.5:\n    def f(): return 1\nelse:\n    f = lambda: 2\nprint(f())",
    "try finally": "f = None\ntry:\n    f = open('x')\nfinally:\n    if f: f.close()",
    "underscore": "for _ in range(3):\n    pass\na, _ = 1, 2",
    "class attribute through self": "class A:\n    rate = 0.1\n    def f(self):\n        return self.rate, A.rate\nprint(A().f())",
    "private names in a class": "class A:\n    __k = 1\n    def f(self):\n        return self.__k\nA().f()",
    "metaclass and keywords": "import abc\nclass A(metaclass=abc.ABCMeta):\n    @abc.abstractmethod\n    def f(self): ...",
    "unicode names": "größe = 3\nπ = 3.14\nprint(größe * π)",
}


def test_the_corpus_is_large() -> None:
    assert len(GOOD) >= 60


@pytest.mark.parametrize("title", GOOD)
def test_no_false_alarm(title: str) -> None:
    assert check(Script(GOOD[title]), namespace=EVERYWHERE) == []


KERNEL: dict[str, Any] = {
    "x_train": [[0.0]],
    "lr": 0.1,
    "np": types.ModuleType("numpy"),
    "math": math,
    "tf": types.ModuleType("tensorflow"),
    "layers": types.ModuleType("tensorflow.keras.layers"),
    "sqrt": math.sqrt,
    "Path": Path,
    "_": "",
    "display": print,
    "In": [],
    "get_ipython": print,
}


def own() -> None: ...


own.__module__ = "__main__"
KERNEL["prepare"] = own


class Dense: ...


Dense.__module__ = "keras.src.layers.core.dense"
KERNEL["Dense"] = Dense


@pytest.mark.parametrize(
    ("cell", "name", "line", "mend"),
    [
        ("print(x_train)", "x_train", 1, "--data NAME"),
        ("a = 1\nprint(a, lr)", "lr", 2, "-- --lr {lr}"),
        ("def f():\n    return x_train\nf()", "x_train", 2, "-s ."),
        ("print([lr * a for a in range(3)])", "lr", 1, "{lr}"),
        ("class A:\n    rate = lr", "lr", 2, "{lr}"),
        ("x = np.zeros(3)", "np", 1, "`import numpy as np`"),
        ("math.sin(1)", "math", 1, "`import math`"),
        ("layers.Dense(1)", "layers", 1, "`from tensorflow.keras import layers`"),
        ("tf.zeros(1)", "tf", 1, "`import tensorflow as tf`"),
        ("sqrt(2)", "sqrt", 1, "`from math import sqrt`"),
        ("Path('.')", "Path", 1, "`from pathlib import Path`"),
        ("Dense(3)", "Dense", 1, "as the notebook does"),
        ("prepare()", "prepare", 1, "Define `prepare` in the cell"),
        ("lr += 1" if False else "y = lr + 1\nlr2 = y", "lr", 1, "{lr}"),
        ("del x_train", "x_train", 1, "-s ."),
        ("def f(a: np.ndarray): ...", "np", 1, "import numpy as np"),
        ("@prepare\ndef f(): ...", "prepare", 1, "Define"),
        ("def f(a=lr): ...", "lr", 1, "{lr}"),
        ("try:\n    x_train\nexcept ImportError:\n    pass", "x_train", 2, "-s ."),
        ("if True:\n    print(f'{lr:.3f}')", "lr", 2, "{lr}"),
        ("async def f():\n    await prepare()", "prepare", 2, "Define"),
        ("with open('x') as f:\n    f.write(x_train)", "x_train", 2, "-s ."),
    ],
)  # fmt: skip
def test_names_of_the_kernel(cell: str, name: str, line: int, mend: str) -> None:
    with pytest.raises(PreflightError) as caught:
        check(Script(cell), namespace=KERNEL)
    assert caught.value.message.startswith(f"`{name}` lives in the kernel, not in this cell (line {line} of the cell).")
    assert mend in caught.value.mend
    assert "\n" not in caught.value.message + caught.value.mend


def test_several_names_are_told_together() -> None:
    with pytest.raises(PreflightError) as caught:
        check(Script("print(x_train)\nprint(lr)\nnp.zeros(1)\n"), namespace=KERNEL)
    assert caught.value.details["names"] == ["x_train", "lr", "np"]
    assert "So do `lr`, `np`." in caught.value.message


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(PreflightError, match="`reslt` is defined neither in this cell, nor in the kernel"):
        check(Script("result = 1\nprint(reslt)"), namespace=KERNEL)
    [notice] = check(Script("import sys\nif sys.argv[1:]:\n    print(reslt)"), namespace=KERNEL)
    assert "`reslt`" in notice
    assert "line 3" in notice
    assert len(check(Script("def f():\n    return later\n"), namespace=KERNEL)) == 1


def test_what_ipython_alone_has() -> None:
    with pytest.raises(PreflightError, match="`display` is IPython's"):
        check(Script("display(1)"), namespace=KERNEL)
    with pytest.raises(PreflightError, match="`get_ipython` is IPython's"):
        check(Script("get_ipython().run_line_magic('pwd', '')"), namespace={})


@pytest.mark.parametrize(
    ("cell", "line", "said"),
    [
        ("x = 1\nprint(x", 2, "'(' was never closed: `print(x`"),
        ("def f()\n    pass", 1, "expected ':'"),
        ("if True:\nprint(1)", 2, "expected an indented block"),
        ("return 3", 1, "'return' outside function"),
        ("x = 'a", 1, "unterminated string"),
        ("!pip install pandas", 1, "`!pip install pandas` is IPython's"),
        ("import os\n%matplotlib inline\nprint(1)", 2, "`%matplotlib inline` is IPython's"),
        ("x = 1\nfiles = !ls", 2, "is IPython's"),
        ("t = %timeit -o f()", 1, "is IPython's"),
        ("%%time\nx = 1", 1, "is IPython's"),
        ("x = 1\nx?", 2, "is IPython's"),
        ("await f()", 1, "'await' outside function"),
        ("print 1", 1, "Missing parentheses"),
    ],
)
def test_what_does_not_compile(cell: str, line: int, said: str) -> None:
    with pytest.raises(PreflightError) as caught:
        check(Script(cell))
    assert caught.value.message.startswith(f"Line {line} of the cell")
    assert said in caught.value.message
    assert caught.value.mend
    assert "\n" not in caught.value.message


def test_a_null_byte_is_one_line() -> None:
    with pytest.raises(PreflightError, match="null bytes") as caught:
        check(Script("x = '\0'"))
    assert "\0" not in caught.value.message


def test_a_pip_line_points_to_environments() -> None:
    with pytest.raises(PreflightError) as caught:
        check(Script("%pip install -q keras"))
    assert "environment" in caught.value.mend


def test_local_modules(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("x = 1")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "images.gz").write_text("")
    (tmp_path / "json.py").write_text("")
    (tmp_path / "hypothesis.py").write_text("")
    for cell in ("import helpers", "from helpers import x", "import pkg.sub", "def f():\n    from pkg import y"):
        with pytest.raises(PreflightError, match="lies beside the notebook") as caught:
            check(Script(cell), beside=[tmp_path])
        assert caught.value.mend == "Send its folder along: `-s .`."
        assert check(Script(cell), beside=[tmp_path], snapshot=tmp_path) == []
    quiet = (
        "import mnist, json, hypothesis, tensorflow\ntry:\n    import helpers\nexcept ImportError:\n    helpers = None"
    )
    assert check(Script(quiet), beside=[tmp_path]) == []


def test_a_module_beside_the_notebook_but_not_in_the_folder_that_goes_along(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("")
    (tmp_path / "src").mkdir()
    with pytest.raises(PreflightError, match="`helpers`"):
        check(Script("import helpers"), beside=[tmp_path], snapshot=tmp_path / "src")


def test_relative_imports_fail_for_certain() -> None:
    with pytest.raises(PreflightError, match="A script is no package"):
        check(Script("from . import helpers"))


def test_a_file_is_named_in_messages() -> None:
    with pytest.raises(PreflightError, match=r"train\.py, line 2: .*never closed"):
        check(Script("x = 1\nprint(x", "train.py"))
    with pytest.raises(PreflightError, match=r"`y` is defined nowhere in this script \(train\.py, line 1\)"):
        check(Script("print(y)", "train.py"))


def test_nothing_of_the_cell_is_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    check(Script(f"open({str(target)!r}, 'w').close()\nimport antigravity\n"))
    assert not target.exists()
