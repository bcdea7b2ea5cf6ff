"""What a .tflite graph is made of, and which of its ops XNNPACK really runs.

An op that XNNPACK does not take runs on a slow reference kernel and splits the graph in two, so one wrong op can cost
more than all the others together. The runtime does not say which ops it took: after delegation its list holds every op
of the file followed by one DELEGATE node for each part that was handed over. Which ops a part replaced follows from its
borders: they are those met when walking back from what the part puts out to what it takes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from convert.silence import silence

_BUILTIN_NAMES = {
    code: name
    for name, code in vars(schema.BuiltinOperator).items()
    if not name.startswith("_") and isinstance(code, int)
}


@dataclass(frozen=True, slots=True)
class GraphOp:
    """One op of a graph, in the order in which the file holds it; `output_shape` is NHWC for images."""

    index: int
    name: str
    output_shape: tuple[int, ...]
    builtin: bool
    delegated: bool


def read_ops(flatbuffer: bytes) -> list[GraphOp]:
    """Lists the ops of a model, each with whether it is builtin and whether XNNPACK runs it.

    A graph that holds an op the runtime does not know cannot be loaded; its ops are then all listed as not delegated.
    """
    named = _read_op_names(flatbuffer)
    delegated = _find_delegated(flatbuffer) if all(builtin for _, builtin, _ in named) else frozenset()
    return [
        GraphOp(index, name, shape, builtin, index in delegated) for index, (name, builtin, shape) in enumerate(named)
    ]


def _read_op_names(flatbuffer: bytes) -> list[tuple[str, bool, tuple[int, ...]]]:
    """Reads name, "is builtin" and shape of the first output of every op from the file itself."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    ops = []
    for subgraph in model.subgraphs:
        for op in subgraph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            # Files from before 2020 hold the code in the deprecated field only; the schema says to take the larger one.
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            builtin = number != schema.BuiltinOperator.CUSTOM
            name = _BUILTIN_NAMES.get(number, f"BUILTIN_{number}") if builtin else code.customCode.decode()
            shape = subgraph.tensors[op.outputs[0]].shape
            ops.append((name, builtin, tuple(int(side) for side in shape) if shape is not None else ()))
    return ops


def _find_delegated(flatbuffer: bytes) -> frozenset[int]:
    """Loads the model as the device does and finds the ops that the delegate took."""
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    count = len(interpreter._get_ops_details())
    with silence():
        interpreter.allocate_tensors()
    details = interpreter._get_ops_details()
    return find_replaced_ops(details[:count], details[count:])


def find_replaced_ops(
    ops: Sequence[Mapping[str, Iterable[int]]], parts: Iterable[Mapping[str, Iterable[int]]]
) -> frozenset[int]:
    """Finds which of `ops` (by position) the delegated `parts` stand for.

    Both hold the tensor numbers of their `inputs` and `outputs`.
    """
    producer = {int(tensor): position for position, op in enumerate(ops) for tensor in op["outputs"]}
    replaced: set[int] = set()
    for part in parts:
        borders = {int(tensor) for tensor in part["inputs"]}
        ahead = deque(int(tensor) for tensor in part["outputs"])
        while ahead:
            tensor = ahead.popleft()
            position = producer.get(tensor)
            if position is None or tensor in borders or position in replaced:
                continue
            replaced.add(position)
            ahead.extend(int(tensor) for tensor in ops[position]["inputs"])
    return frozenset(replaced)
