"""Build servers that are Go programs, once, from a module beside this file that pins them. Free of pytest."""

from pathlib import Path

from testbed.servers.building import built, run

_MODULES = Path(__file__).with_name("go")
_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath",
    "GOSUMDB": "off",  # go.sum guards; the public database is not reachable from everywhere
    "GOTOOLCHAIN": "local",
}


def go_program(module: str, package: str, version: str, *, stamps: dict[str, str] | None = None) -> Path:
    """Build `package` of the module `go/MODULE`, and return its program. `stamps` are variables set by the linker.

    Raises UnavailableError where Go is missing or too old, or its modules cannot be had.
    """
    name = package.rsplit("/", 1)[-1]
    flags = " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in (stamps or {}).items())])

    def build(folder: Path) -> None:
        go(module, "build", "-ldflags", flags, "-o", folder / name, package)

    return built(name, version, build) / name


def go(module: str, *words: str | Path) -> None:
    """Run `go WORDS` in the module `go/MODULE`. Raises UnavailableError as `go_program` does."""
    run("nice", "go", *words, cwd=_MODULES / module, env=_ENVIRONMENT)
