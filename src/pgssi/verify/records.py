"""The evidence journal of the site, as far as the verifier needs it: sound records, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError


@dataclass(frozen=True)
class SiteEvidence:
    """records: as the evidence schema has them, plus ``approved`` (persons whose valid signature each bears).

    fault: what is wrong with the journal; then there are no records, for none of them can be trusted.
    """

    records: tuple[Mapping[str, Any], ...] = ()
    fault: str = ""

    @classmethod
    def of(cls, variables: Mapping[str, Any]) -> SiteEvidence:
        """Read and verify the journal of ``site_evidence_dir``; a site without journal has no records."""
        if not variables.get("site_evidence_dir"):
            return cls()
        from pgssi.evidence import Journal  # worker processes only carry the records: spare them the import

        try:
            journal = Journal.of_site(variables, Path(str(variables.get("inventory_dir", "."))))
            if not journal.directory.is_dir():
                return cls()
            checked = journal.verify()
            if not checked.ok:
                return cls(fault="journal de preuves altéré : " + " ; ".join(map(str, checked.findings[:3])))
            found = journal.records()
        except PgssiError as error:
            return cls(fault=f"journal de preuves illisible : {error}")
        return cls(tuple({**record.as_dict(), "approved": list(checked.approved(record.id))} for record in found))

    def summary(self) -> list[dict[str, Any]]:
        """Return what results.json says of each record: kind, id, when (UTC), result, where."""
        return [
            {
                "kind": record["kind"],
                "id": record["id"],
                "when": str(record["when"].get("end") or record["when"].get("start") or ""),
                "result": record["result"],
                "where": list(record["where"]),
            }
            for record in self.records
        ]
