"""What a seal holds that a format can be made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signet.cards import Card
from signet.errors import BadRequest
from signet.naming import shown
from signet.networks import GraphFile, ModuleSource
from signet.resolving import module_source
from signet.seals import Expected, Seal, is_seal
from signet.verification import checked
from signet.zoos import from_seal


@dataclass(frozen=True, slots=True)
class Materials:
    """A seal whose files were checked, with its networks.

    Attributes:
        seal: opened.
        expected: its evidence.
        graph: its network as a graph.
        module: the same as a torch module, where the seal holds weights and a zoo here builds it.
    """

    seal: Seal
    expected: Expected
    graph: GraphFile
    module: ModuleSource | None

    @property
    def card(self) -> Card:
        """All that is known of the model."""
        return self.seal.card

    def require_onnx(self, wanted: str) -> GraphFile:
        """The graph, if it is ONNX.

        Raises:
            BadRequest: it is not.
        """
        if self.graph.format != "onnx":
            raise BadRequest(
                f"{shown(self.card.name)}: {wanted} is made of an ONNX graph, and this seal holds a "
                f"{self.graph.path.suffix} graph. Export it to openvino, or seal an ONNX form of the model."
            )
        return self.graph

    def require_module(self, wanted: str) -> ModuleSource:
        """The torch module.

        Raises:
            BadRequest: the seal holds none.
        """
        if self.module is None:
            raise BadRequest(
                f"{shown(self.card.name)}: {wanted} is made of a torch module, and this seal holds only a "
                "graph, or weights of a network that no zoo here builds. Export it to onnx or openvino, or "
                "seal the model with its weights."
            )
        return self.module


def open_materials(sealed: Seal | str | Path) -> Materials:
    """Check a seal's files and find its networks.

    Raises:
        BadRequest: the path is no seal.
        SealError: a file is not what was sealed.
    """
    place = sealed.path if isinstance(sealed, Seal) else Path(sealed)
    if not is_seal(place):
        raise BadRequest(
            f"{shown(place)}: expected a seal, a folder or a zip that `signet seal` wrote. What is exported "
            "is held to a seal's evidence; seal the model first: signet seal MODEL IMAGES --out X.signet"
        )
    opened, expected, _ = checked(place, None, None)
    networks = from_seal.of(opened, module_source).networks
    graph = next(network for network in networks if isinstance(network, GraphFile))
    module = next((network for network in networks if isinstance(network, ModuleSource)), None)
    return Materials(opened, expected, graph, module)
