# An MRI scanner as its maker delivers it: an old account for maintenance, and a DICOM service that knows no caller.
# The host key that the bastion is told beforehand.
systemctl restart ssh.service
useradd --create-home --shell /bin/bash --comment 'Maintenance constructeur' service
echo 'service:Irm-3T-Radiologie' | chpasswd
useradd --system --shell /usr/sbin/nologin irm
install -d /opt/irm
cat > /opt/irm/dicom.py <<'PYTHON'
"""A DICOM node (PS3.8): every association request is rejected, its calling AE title being unknown here."""

import asyncio
import struct

REJECTED = struct.pack(">BxIxBBB", 3, 4, 1, 1, 3)  # permanent, by the service user, calling AE title not recognized
ABORT = struct.pack(">BxIxxBB", 7, 4, 2, 1)  # by the service provider, unrecognized PDU


async def serve(reader, writer):
    try:
        kind, length = struct.unpack(">BxI", await asyncio.wait_for(reader.readexactly(6), 30))
        if kind == 1 and length <= 65536:
            await asyncio.wait_for(reader.readexactly(length), 30)
        writer.write(REJECTED if kind == 1 else ABORT)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, ("0.0.0.0", "::"), 11112)
    await server.serve_forever()


asyncio.run(main())
PYTHON
cat > /etc/systemd/system/dicom.service <<'UNIT'
[Unit]
Description=DICOM service of the scanner
[Service]
ExecStart=/usr/bin/python3 /opt/irm/dicom.py
User=irm
Restart=on-failure
[Install]
WantedBy=multi-user.target
UNIT
systemctl --quiet enable --now dicom.service
