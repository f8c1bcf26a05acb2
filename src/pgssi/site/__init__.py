"""The site model: what the inventory says of the site, checked in full before any host is touched."""

from pgssi.site.model import Finding, Host, Site
from pgssi.site.review import Review, review

__all__ = ["Finding", "Host", "Review", "Site", "review"]
