# The lab's publisher of signatures: a database that knows the EICAR test file, dated anew every hour as an editor's is every day.
install -d -m 755 /var/cache/lab-signatures
cat > /usr/local/sbin/lab-signatures <<'PYTHON'
#!/usr/bin/python3 -I
"""Publish /var/cache/lab-signatures/daily.cud: a container of ClamAV, unsigned (sigtool --build --unsigned makes the same)."""
import gzip, hashlib, io, os, sys, tarfile, time

when = int(time.time() - 3600 * float(sys.argv[2] if len(sys.argv) > 2 else 0))
target = sys.argv[1] if len(sys.argv) > 1 else "/var/cache/lab-signatures/daily.cud"
eicar = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
head = f"ClamAV-VDB:{time.strftime('%d %b %Y %H-%M +0000', time.gmtime(when))}:{when // 3600}:1:90"
files = {"COPYING": b"Laboratoire\n", "daily.ndb": b"Lab.Eicar:0:*:" + eicar.hex().encode() + b"\n"}
told = "".join(f"{name}:{len(data)}:{hashlib.sha256(data).hexdigest()}\n" for name, data in files.items())
files = {"COPYING": files["COPYING"], "daily.info": f"{head}:X:X:lab:{when}\n{told}".encode(), "daily.ndb": files["daily.ndb"]}
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
    for name, data in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
body = gzip.compress(packed.getvalue())
with open(f"{target}.new", "wb") as stream:
    stream.write(f"{head}:{hashlib.md5(body).hexdigest()}:X:lab:{when}".encode().ljust(512) + body)
os.replace(f"{target}.new", target)
PYTHON
chmod 755 /usr/local/sbin/lab-signatures
printf '[Unit]\nDescription=Signatures du laboratoire\n[Service]\nType=oneshot\nExecStart=/usr/local/sbin/lab-signatures\n' \
    > /etc/systemd/system/lab-signatures.service
printf '[Unit]\nDescription=Signatures du laboratoire\n[Timer]\nOnCalendar=hourly\nOnBootSec=10\n[Install]\nWantedBy=timers.target\n' \
    > /etc/systemd/system/lab-signatures.timer
/usr/local/sbin/lab-signatures
systemctl --quiet enable --now lab-signatures.timer
