"""Wi-Fi of a site: networks by use, access points, the RADIUS authority and what each host takes part in (PSSI 4.4)."""
