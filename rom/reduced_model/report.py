"""A model in words and in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .evaluation import EPS, ROUNDING

WORDS = {"rigorous": "error bound", "estimate": "error estimate", "none": "residual"}
MEANING = {
    "rigorous": "the error in the norm of X is at most the bound",
    "estimate": "what stands for the bound is an estimate; verify(mu) certifies single answers",
    "none": "no bound and no estimate",
}


def called(model: Any) -> str:
    """What the numbers of the greedy are."""
    relative = "relative " if getattr(model.recipe, "relative", False) else ""
    return f"largest {relative}{WORDS[model.fitted.kind]}"


def told(model: Any) -> str:
    """The text of `ReducedModel.report`."""
    offline, history = model.fitted, model.history
    split = offline.split
    lines = [repr(model), f"  {split.A.terms.shape[0]} unknowns, {model.box.calls} assemblies"]
    for name in ("A", "b", "L"):
        quantity = getattr(split, name)
        if quantity is not None:
            lines.append(f"  {name}: {quantity.by.how} ({quantity.by.kind})")
    how = "none" if offline.stability is None else offline.stability.name
    lines.append(f"  stability constant: {how}; {offline.kind}: {MEANING[offline.kind]}")
    if any(offline.measured):
        of_A, of_b = offline.measured
        lines.append(f"  errors of the interpolated operator and right-hand side, estimated in X': {of_A:.1e}, {of_b:.1e}")
    lines.append(f"  bounds are floored at {ROUNDING} eps = {ROUNDING * EPS:.1e} of the terms of the residual")
    lines.append(f"  basis: {history.reason}; {', '.join(f'{name} {value:.3g} s' for name, value in model.seconds.items())}")
    if history.bounds:
        lines += ["", f"     N   {called(model)}; next parameters", *steps(model)]
    return "\n".join(lines)


def steps(model: Any) -> list[str]:
    """The table of the greedy: size, largest bound before the step, the parameters that it took."""
    history, rows = model.history, []
    sizes = [0, *history.sizes] if history.sizes else range(len(history.bounds))
    for i, (size, bound) in enumerate(zip(sizes, history.bounds, strict=False)):
        taken = model.parameters.said(history.selected[i]) if history.sizes and i < len(history.selected) else ""
        rows.append(f"  {size:4d}   {bound:13.6g}   {taken}")
    return rows


def plotted(model: Any, path: str | Path | None) -> Any:
    """The Figure of `ReducedModel.plot`."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plot needs matplotlib: pip install "petrov[bench]"') from error
    panels = [panel for panel in (bounds, chosen, interpolation) if panel(model, None)]
    figure = Figure(figsize=(5.2 * len(panels), 4.0), layout="constrained")
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        panel(model, axes)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def bounds(model: Any, axes: Any) -> bool:
    """The largest bound against N."""
    values = model.history.bounds
    if axes is None or not values:
        return bool(values)
    sizes = [0, *model.history.sizes][: len(values)] if model.history.sizes else range(len(values))
    axes.semilogy(sizes, values, "o-", color="#1f6f8b", markersize=4)
    axes.set(xlabel="basis vectors N", ylabel=called(model))
    axes.set_title("over the training parameters", fontsize=10)
    axes.grid(True, alpha=0.3)
    return True


def chosen(model: Any, axes: Any) -> bool:
    """Where full solutions were taken, in the first two parameters or along one."""
    points = model.selected
    if axes is None or not len(points):
        return bool(len(points))
    P = model.parameters
    y = points[:, 1] if len(P) > 1 else np.arange(1, len(points) + 1)
    marks = axes.scatter(points[:, 0], y, c=np.arange(1, len(points) + 1), cmap="viridis", s=28)
    axes.figure.colorbar(marks, ax=axes, label="order")
    axes.set(xlabel=P.names[0], ylabel=P.names[1] if len(P) > 1 else "order")
    axes.set_xscale("log" if P.scales[0] == "log" else "linear")
    axes.set_yscale("log" if len(P) > 1 and P.scales[1] == "log" else "linear")
    axes.set_title("parameters of the full solutions", fontsize=10)
    return True


def interpolation(model: Any, axes: Any) -> bool:
    """The interpolation error of the operator, and the singular values of its training values."""
    by = model.offline.split.A.by
    there = len(by.errors) > 1 or by.singular_values is not None
    if axes is None or not there:
        return there
    if len(by.errors) > 1:
        axes.semilogy(np.maximum(by.errors, 1e-17), "o-", color="#b5651d", markersize=4, label="interpolation error")
    if by.singular_values is not None:
        relative = by.singular_values / by.singular_values[0]
        axes.semilogy(np.maximum(relative, 1e-17), ".", color="#555555", label="singular values")
    axes.set(xlabel="terms", ylabel="relative")
    axes.set_title("the operator A(mu)", fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(True, alpha=0.3)
    return True
