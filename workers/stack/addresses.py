"""Where the parts of a running stack are, for people, for other programs, and for other commands of the same user."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from workers.stack.whole_file import write_whole

FILE_NAME = "running.json"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Addresses of a usable stack. `weaviate` is none when there is none, and working sets are then degraded."""

    temporal: str
    """`host:port`"""
    namespace: str
    temporal_ui: str | None
    """None for a Temporal that the stack did not start."""
    postgres: str
    """`postgresql+psycopg://…`"""
    weaviate: str | None
    """`http://host:port`"""
    weaviate_grpc_port: int

    def shown(self) -> dict[str, str | None]:
        """What is told about the stack, by name."""
        shown = asdict(self)
        del shown["weaviate_grpc_port"]
        return shown

    def environment(self) -> dict[str, str]:
        """The variables that lead another Perdure process to this stack."""
        return {
            "TEMPORAL_ADDRESS": self.temporal,
            "TEMPORAL_NAMESPACE": self.namespace,
            "PERDURE_DATABASE_URL": self.postgres,
            "PERDURE_WEAVIATE_URL": self.weaviate or "",
            "PERDURE_WEAVIATE_GRPC_PORT": str(self.weaviate_grpc_port),
        }

    def write(self, data_dir: Path) -> None:
        """Leave the addresses in `data_dir`, for `read`; readable by this user alone."""
        write_whole(data_dir / FILE_NAME, _adapter.dump_json(self))

    @classmethod
    def read(cls, data_dir: Path) -> Addresses | None:
        """Those of the stack in `data_dir`, or none if it left none; a stack that was killed leaves them."""
        try:
            return _adapter.validate_json((data_dir / FILE_NAME).read_bytes())
        except (FileNotFoundError, ValidationError):  # of another program, or of a machine that lost its power
            return None

    @staticmethod
    def forget(data_dir: Path) -> None:
        """Remove what `write` left. What stays is not believed: it counts only while the stack's lock is held."""
        with suppress(OSError):
            (data_dir / FILE_NAME).unlink()


_adapter = TypeAdapter(Addresses)
