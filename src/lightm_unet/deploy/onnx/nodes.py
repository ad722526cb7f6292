"""Nodes of an ONNX graph, one call each."""

from __future__ import annotations

import itertools
from typing import Any, Literal, overload

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


class Nodes:
    """A growing list of nodes and constants, in an order in which they can run.

    Args:
        prefix: of the names of all values that are made here; no other value may begin with it.

    Example:
        >>> nodes = Nodes("n")
        >>> total = nodes.add("Add", "image", nodes.constant([1.0], np.float32))
        >>> total, nodes.nodes[0].op_type
        ('n2', 'Add')
    """

    def __init__(self, prefix: str) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._names = (f"{prefix}{number}" for number in itertools.count(1))

    def inner(self) -> Nodes:
        """Nodes for the body of an operator; their names differ from those out here."""
        inner = Nodes("")
        inner._names = self._names
        return inner

    def new_name(self) -> str:
        """A name that no other value has."""
        return next(self._names)

    @overload
    def add(
        self, operator: str, *inputs: str, outputs: Literal[1] = ..., **attributes: Any
    ) -> str: ...

    @overload
    def add(
        self, operator: str, *inputs: str, outputs: int, **attributes: Any
    ) -> tuple[str, ...]: ...

    def add(
        self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any
    ) -> str | tuple[str, ...]:
        """Add a node; returns the name of its output, or the names of several."""
        names = tuple(self.new_name() for _ in range(outputs))
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def name(self, value: str, name: str) -> None:
        """Give a value a name of the caller's."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def constant(self, values: Any, kind: type = np.int64) -> str:
        """Add numbers; returns their name."""
        name = self.new_name()
        self.constants.append(numpy_helper.from_array(np.array(values, kind), name))
        return name

    def graph(self, name: str, inputs: list[str], outputs: list[str]) -> GraphProto:
        """The nodes as the body of an operator such as Scan, on float32 of any shape."""

        def declare(names: list[str]) -> list[ValueInfoProto]:
            return [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in names]

        return helper.make_graph(
            self.nodes, name, declare(inputs), declare(outputs), self.constants
        )
