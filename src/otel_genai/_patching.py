"""Puts the hooks in place when an SDK is first imported, and takes every one of them away again."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import wrapt

from otel_genai import _emitters, _others
from otel_genai.providers import REGISTRY, SDK_MODULES

if TYPE_CHECKING:
    from otel_genai._engine import Seam
    from otel_genai._runs import Runs
    from otel_genai._telemetry import Telemetry
    from otel_genai.spec import Attach, Provider

logger = logging.getLogger(__name__)


class _Inside:
    """The variables that a function holds of where it was made, as attributes: whoever has it has them."""

    __slots__ = ("_cells",)

    def __init__(self, function: Any) -> None:
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        object.__setattr__(self, "_cells", cells)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # for `vars()`
        return {name: cell.cell_contents for name, cell in self._cells.items()}

    def __getattr__(self, name: str) -> Any:
        if name not in self._cells:
            raise AttributeError(name)
        return self._cells[name].cell_contents

    def __setattr__(self, name: str, value: object) -> None:
        self._cells[name].cell_contents = value


@dataclass(slots=True)
class Patch:
    """One function of an SDK that we stand in for."""

    target: str
    owner: Any
    name: str
    wrapper: wrapt.FunctionWrapper[..., Any]
    seam: Seam
    original: Any
    """What stood in the owner's own dictionary; None where the function is inherited."""

    def restore(self) -> None:
        """Put the original back; under somebody else's wrapper, only fall silent."""
        self.seam.active = False
        if vars(self.owner).get(self.name) is not self.wrapper:
            return
        if self.original is None:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


@dataclass(slots=True)
class Status:
    """What became of one provider.

    Attributes:
        name: the provider's name.
        state: `patched`, `waiting` (for the SDK's import), `not installed`, `skipped`, `disabled` or `off`.
        version: the SDK's installed version, if it is installed.
        targets: the functions we stand in for.
        reason: why it is not patched, in words.
    """

    name: str
    state: str = "off"
    version: str | None = None
    targets: list[str] = field(default_factory=list)
    reason: str = ""


@dataclass(slots=True)
class _Installed:
    telemetry: Telemetry
    provider: Provider | None = None
    patches: list[Patch | Attached] = field(default_factory=list)
    beside: list[Attached] = field(default_factory=list)
    """What is measured beside the spans that an SDK makes itself: it is no less skipped."""
    skipped: str = ""


@dataclass(slots=True)
class Attached:
    """A framework whose callbacks tell us of its runs."""

    target: str
    runs: Runs
    undo: Callable[[], None]

    def restore(self) -> None:
        """Be told no more."""
        self.undo()
        self.runs.close()


_installed: dict[str, _Installed] = {}
_hooked: set[tuple[str, str]] = set()


def install(name: str, telemetry: Telemetry, provider: Provider | None = None) -> None:
    """Have a provider's hooks put in place as soon as its SDK is imported, now if it already is."""
    remove(name)
    _installed[name] = _Installed(telemetry, provider)
    for module in provider.modules if provider else SDK_MODULES[name]:
        if (name, module) not in _hooked:
            _hooked.add((name, module))
            wrapt.when_imported(module)(partial(_imported, name))
        elif module in sys.modules:
            _imported(name, sys.modules[module])


def remove(name: str) -> None:
    """Take a provider's hooks away."""
    installed = _installed.pop(name, None)
    for patch in (*installed.patches, *installed.beside) if installed else ():
        patch.restore()


def installed() -> list[str]:
    """Name the providers whose hooks are in place or waiting."""
    return list(_installed)


def _imported(name: str, module: Any) -> None:
    """Patch: runs inside the user's own `import`, which must not notice."""
    installed = _installed.get(name)
    if installed is None:
        return
    try:
        provider = installed.provider or importlib.import_module(REGISTRY[name]).PROVIDER
        installed.provider = provider
        installed.skipped = _others.stand_down(name)
        if not installed.skipped and (native := _native(provider)):
            installed.skipped = native
            installed.beside += _attached(installed, provider, provider.beside, module)
        if not installed.skipped and (unfit := _unfit(provider)):
            installed.skipped = unfit
            logger.warning("otel-genai leaves %s alone: %s", name, unfit)
        if installed.skipped:
            return
        installed.telemetry.prepare()
        for target in provider.hooks:
            if target.partition(":")[0] == module.__name__:
                _patch(installed, provider, target)
        installed.patches += _attached(installed, provider, provider.attach, module)
    except Exception as error:  # noqa: BLE001 (the guard)
        installed.telemetry.failed(name, "import", error)


def _patch(installed: _Installed, provider: Provider, target: str) -> None:
    from otel_genai import _engine  # noqa: PLC0415 (programs without an SDK need not wait for it)

    module, _, path = target.partition(":")
    *parents, name = path.split(".")
    owner: Any = sys.modules[module]
    try:
        for parent in parents:
            owner = _Inside(owner) if parent == "__closure__" else getattr(owner, parent)
        getattr(owner, name)
    except AttributeError:
        if target in provider.optional:
            return
        installed.skipped = f"{module} {sdk_version(provider.requires)} has no {path}"
        logger.warning("otel-genai cannot see %s: %s", target, installed.skipped)
        return
    seam = _engine.Seam(installed.telemetry, provider, provider.hooks[target])
    original = vars(owner).get(name)
    installed.patches.append(Patch(target, owner, name, _engine.wrap(seam, owner, name), seam, original))


def _attached(
    installed: _Installed, provider: Provider, attach: Mapping[str, Attach], module: Any
) -> Iterator[Attached]:
    if module.__name__ not in attach:
        return
    from otel_genai import _runs  # noqa: PLC0415 (programs without a framework need not wait for it)

    runs = _runs.Runs(installed.telemetry, provider.name)
    yield Attached(module.__name__, runs, attach[module.__name__](module, runs))


def _is_patched(name: str) -> bool:
    return name in _installed and bool(_installed[name].patches) and not _others.at_work(name)


_emitters.patched = _is_patched


def sdk_version(requires: str) -> str | None:
    """Give the installed version of the distribution that a requirement names."""
    from packaging.requirements import Requirement  # noqa: PLC0415 (programs without an SDK do not need it)

    try:
        return version(Requirement(requires).name)
    except PackageNotFoundError:
        return None


def _native(provider: Provider) -> str:
    """Say so if an SDK makes its spans itself, as it should."""
    if not provider.native or not (found := sdk_version(provider.native)):
        return ""
    from packaging.requirements import Requirement  # noqa: PLC0415 (as above)

    if not Requirement(provider.native).specifier.contains(found, prereleases=True):
        return ""
    return f"version {found} makes its spans itself, and those are adopted"


def _unfit(provider: Provider) -> str:
    """Say why an SDK's version is not one we know, if it is not."""
    from packaging.requirements import Requirement  # noqa: PLC0415 (as above)

    found = sdk_version(provider.requires)
    if found is None or Requirement(provider.requires).specifier.contains(found, prereleases=True):
        return ""
    return f"version {found} is installed, {provider.requires} is supported"


def statuses(disabled: frozenset[str] = frozenset()) -> list[Status]:
    """Say of each provider what became of it."""
    return [_status(name, disabled) for name in {**REGISTRY, **_installed}]


def _status(name: str, disabled: frozenset[str]) -> Status:
    installed = _installed.get(name)
    provider = installed.provider if installed and installed.provider else None
    if provider is None:
        provider = importlib.import_module(REGISTRY[name]).PROVIDER
    status = Status(name, version=sdk_version(provider.requires))
    if name in disabled:
        status.state, status.reason = "disabled", "named in OTEL_GENAI_DISABLED"
    elif installed is None:
        status.reason = "not instrumented: call otel_genai.instrument()"
    elif other := _others.at_work(name):
        status.state, status.reason = "skipped", other
    elif installed.patches:
        status.state, status.targets = "patched", [patch.target for patch in installed.patches]
        status.reason = installed.skipped or _others.own(name)
    elif installed.skipped:
        status.state, status.reason = "skipped", installed.skipped
    elif status.version is None:
        status.state = "not installed"
    else:
        status.state = "waiting"
    return status
