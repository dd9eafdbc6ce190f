"""The parts both graphs are made of: colour space, network, mixing, inverse. Layout [N, C, H, W], float32."""
import numpy as np

from .constants import (
    BLOCK,
    CX_RANGE,
    FAST_LAYERS,
    FOREIGN_BLACK_DENSITY,
    FOREIGN_BLUE_OVER_GREEN,
    FOREIGN_INK_BLUE_OVER_GREEN,
    FOREIGN_INK_DENSITY,
    FOREIGN_INK_RED_OVER_GREEN,
    FOREIGN_RED_OVER_GREEN,
    LAYERS,
    MINIMUM_OPTICAL_DENSITY,
    ZERO_LEVEL,
)
from .graph import FLOAT, INT32, Graph
from .hsd import ROOT3



def optical_density(graph: Graph, tile: str) -> str:
    """uint8 [N, H, W, 3] -> optical density [N, 3, H, W], by table: 256 values rounded once from float64.

    A table and not a Log: vectorised logarithms may round by position, and tiles must equal the whole image.
    """
    table = -np.log(np.maximum(np.arange(256.0), ZERO_LEVEL) / 255)
    index = graph.node("Cast", [tile], to=INT32)
    levels = graph.node("Gather", [graph.constant(table, name="optical_density"), index], axis=0)
    return graph.node("Transpose", [levels], perm=[0, 3, 1, 2])


def hsd(graph: Graph, density: str) -> tuple[str, str, str, str]:
    """[N, 3, H, W] -> D, bounded D, cx, cy, each [N, 1, H, W]."""
    red, green, blue = graph.node("Split", [density], 3, axis=1, num_outputs=3)
    total = graph.node("Add", [graph.node("Add", [red, green]), blue])
    mean = graph.node("Mul", [total, graph.constant(1 / 3)])
    bounded = graph.node("Max", [mean, graph.constant(MINIMUM_OPTICAL_DENSITY)])
    cx = graph.node("Div", [graph.node("Sub", [red, mean]), bounded])
    difference = graph.node("Mul", [graph.node("Sub", [green, blue]), graph.constant(1 / ROOT3)])
    return mean, bounded, cx, graph.node("Div", [difference, bounded])


def gained(graph: Graph, mean: str, gain: str) -> str:
    """Unbounded D [N, 1, H, W] times gain [1], bounded as the network's input."""
    return graph.node("Max", [graph.node("Mul", [mean, gain]), graph.constant(MINIMUM_OPTICAL_DENSITY)])


def phase_kernel(weight: np.ndarray, row: int, column: int) -> np.ndarray:
    """The 2x2 kernel [O, I, 2, 2] that gives output pixels (2i+row, 2j+column) of conv3x3(nearest x2).

    Of the three rows of the kernel two fall on the same small pixel and are added; likewise columns.
    """

    def merge(w: np.ndarray, axis: int, phase: int) -> np.ndarray:
        first, middle, last = np.moveaxis(w, axis, 0)
        return np.stack((first, middle + last) if phase == 0 else (first + middle, last), axis)

    return merge(merge(weight.astype(np.float64), 2, row), 3, column).astype(np.float32)


def upsample_convolve(graph: Graph, x: str, weights: dict, name: str, pointwise: str | None = None) -> str:
    """conv3x3(nearest x2), ReLU, and optionally a 1x1 layer before the pixels are put in place.

    'Same' padding of the upsampled image is one small pixel on the side the 2x2 kernel reaches to.
    """
    phases = []
    for row in (0, 1):
        for column in (0, 1):
            kernel = phase_kernel(weights[f"{name}.weight"], row, column)
            pads = [1 - row, 1 - column, row, column]
            y = graph.convolve(x, kernel, weights[f"{name}.bias"], pads, f"{name}.{row}{column}")
            if pointwise:
                y = graph.convolve(y, weights[f"{pointwise}.weight"], weights[f"{pointwise}.bias"], [0] * 4, pointwise)
            phases.append(y)
    return graph.node("DepthToSpace", [graph.node("Concat", phases, axis=1)], blocksize=2, mode="DCR")


def responsibilities(graph: Graph, density: str, weights: dict[str, np.ndarray], network: str) -> str:
    """Bounded D [N, 1, H, W] -> responsibilities [N, K, H, W]; network "reference" or "fast" (constants.py)."""
    logits = {"reference": reference_logits, "fast": fast_logits}[network](graph, density, weights)
    return softmax(graph, logits)


def fast_logits(graph: Graph, density: str, weights: dict[str, np.ndarray]) -> str:
    """The small network: 3x3 convolutions of blocks of pixels."""
    x = graph.node("SpaceToDepth", [density], blocksize=BLOCK)
    for name, *_ in FAST_LAYERS:
        is_last = name == FAST_LAYERS[-1][0]
        x = graph.convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"], [1] * 4, name, relu=not is_last)
    return graph.node("DepthToSpace", [x], blocksize=BLOCK, mode="CRD")


def reference_logits(graph: Graph, density: str, weights: dict[str, np.ndarray]) -> str:
    """The published network, rewritten exactly."""
    x = density
    for name, kernel, *_ in LAYERS[:5]:
        x = graph.convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"], [kernel // 2] * 4, name)
        if name in ("conv2", "conv4"):
            x = graph.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = upsample_convolve(graph, x, weights, "conv6")
    x = upsample_convolve(graph, x, weights, "conv7", "conv8")
    return graph.convolve(x, weights["conv9.weight"], weights["conv9.bias"], [1] * 4, "conv9", relu=False)


def softmax(graph: Graph, logits: str) -> str:
    """Softmax over axis 1, decomposed: Softmax itself would transpose [N, K, H, W] twice."""
    axis = graph.constant([1], np.int64)
    weight = graph.node("Exp", [graph.node("Sub", [logits, graph.node("ReduceMax", [logits, axis])])])
    return graph.node("Div", [weight, graph.node("ReduceSum", [weight, axis])])


def inverse(graph: Graph, density: str, cx: str, cy: str) -> str:
    """D, cx, cy [N, 1, H, W] -> grey levels 0..255 before rounding [N, 3, H, W]; cx is clipped here."""
    cx = graph.node("Clip", [cx, graph.constant(CX_RANGE[0]), graph.constant(CX_RANGE[1])])
    red = graph.node("Mul", [graph.node("Add", [cx, graph.constant(1)]), density])
    turned = graph.node("Mul", [cy, graph.constant(ROOT3)])
    rest = graph.node("Sub", [graph.constant(2), cx])
    half = graph.node("Mul", [density, graph.constant(0.5)])
    green = graph.node("Mul", [graph.node("Add", [rest, turned]), half])
    blue = graph.node("Mul", [graph.node("Sub", [rest, turned]), half])
    od = graph.node("Max", [graph.node("Concat", [red, green, blue], axis=1), graph.constant(0)])
    return graph.node("Mul", [graph.node("Exp", [graph.node("Neg", [od])]), graph.constant(255)])


def fade_in(graph: Graph, value: str, fade: str) -> str:
    """Weight of the transferred pixel by its D [N, 1, H, W]; fade [2] = (low, high)."""
    low, high = graph.node("Split", [fade], 2, axis=0, num_outputs=2)
    width = graph.node("Max", [graph.node("Sub", [high, low]), graph.constant(1e-6)])
    return smoothstep(graph, graph.node("Div", [graph.node("Sub", [value, low]), width]))


def native(graph: Graph, density: str, mean: str, blueness: str | None = None) -> str:
    """1 where the colour can be H&E, 0 where it is foreign (constants.py), smooth between; [N, 1, H, W].

    density [N, 3, H, W] optical density, mean [N, 1, H, W] their unbounded mean D. Black is dense in all three channels:
    by the mean a dark nucleus, whose green is all but gone, would be black too, and keep specks. blueness [1] of the slide
    (transfer.py), which a fit does not know yet.
    """
    red, green, blue = graph.node("Split", [density], 3, axis=1, num_outputs=3)
    least = graph.node("Min", [red, green, blue])
    blue_over_green = graph.node("Sub", [blue, green])

    def ramp(value: str, ends: tuple[float, float]) -> str:
        low, high = ends
        return graph.node("Mul", [graph.node("Sub", [value, graph.constant(low)]), graph.constant(1 / (high - low))])

    red_over_green = graph.node("Sub", [red, green])
    if blueness:
        red_over_green = graph.node("Sub", [red_over_green, graph.node("Mul", [mean, blueness])])
    black_or_blue = graph.node(
        "Max", [ramp(blue_over_green, FOREIGN_INK_BLUE_OVER_GREEN), ramp(red_over_green, FOREIGN_INK_RED_OVER_GREEN)]
    )
    ramps = [
        ramp(blue_over_green, FOREIGN_BLUE_OVER_GREEN),
        ramp(red_over_green, FOREIGN_RED_OVER_GREEN),
        graph.node("Min", [ramp(mean, FOREIGN_INK_DENSITY), black_or_blue]),
        ramp(least, FOREIGN_BLACK_DENSITY),
    ]
    return graph.node("Sub", [graph.constant(1), smoothstep(graph, graph.node("Max", ramps))])


def smoothstep(graph: Graph, t: str) -> str:
    """0 up to 0, 1 from 1 on, 3t^2 - 2t^3 between."""
    t = graph.node("Clip", [t, graph.constant(0), graph.constant(1)])
    rise = graph.node("Sub", [graph.constant(3), graph.node("Mul", [t, graph.constant(2)])])
    return graph.node("Mul", [graph.node("Mul", [t, t]), rise])


def cast_float(graph: Graph, value: str) -> str:
    return graph.node("Cast", [value], to=FLOAT)
