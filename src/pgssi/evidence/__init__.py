"""Evidence: a signed, hash-chained journal of what was done on a site, and its printed sheets.

>>> journal = Journal.of_site(site, inventory_dir)
>>> record = journal.append(kind="red_button", what="…", where=["bkp1"], who={"operator": "adm-adurand"})
>>> journal.verify().ok
True
"""

from pgssi.evidence._lines import Finding
from pgssi.evidence._signing import Signer, SigningError, signers_of
from pgssi.evidence._verify import Anchor, Verification
from pgssi.evidence.journal import Journal, Record, Signature

__all__ = [
    "Anchor",
    "Finding",
    "Journal",
    "Record",
    "Signature",
    "Signer",
    "SigningError",
    "Verification",
    "signers_of",
]
