"""The contracts of plug-ins as code: suites that a stranger's engine or zoo runs in its own tests.

A plug-in is a module that an entry point names:

    [project.entry-points."signet.engines"]
    fast = "my_package.on_fast"          # --engine fast

    [project.entry-points."signet.zoos"]
    mine = "my_package.from_mine"        # models called mine/...

The module of an engine has `open_model(pretrained, settings) -> Engine`: it takes the first of
`pretrained.networks` that it can run, opens it as the `EngineSettings` say, and raises `EngineError` when it
cannot. What it returns keeps the contract `signet.engines.contract.Engine`.

The module of a zoo has `pretrained(name, *, offline, on_progress) -> Pretrained`: it gets the whole name,
`mine/...`, raises `UnknownName` for one that it does not know and `OfflineMiss` when the weights are not here
and `offline` forbids to look further.

    def test_engine(tmp_path):
        signet.testing.check_engine(my_package.on_fast.open_model, tmp_path)

    def test_zoo(tmp_path):
        signet.testing.check_zoo(my_package.from_mine, ["mine/small"], tmp_path, unknown="mine/smal")

Each raises `CheckFailed` with the promise that was broken. The same suites run over Signet's own engines and
zoos. They need no test framework; `check_engine` needs the package `onnx`.
"""

from signet.testing.engine_suite import TOLERANCE, check_engine
from signet.testing.tiny import TinyNetwork, made_images
from signet.testing.zoo_suite import check_zoo

__all__ = ["TOLERANCE", "TinyNetwork", "check_engine", "check_zoo", "made_images"]
