"""Takes this machine's native library out of the package in a folder. Usage: extract_library.py FOLDER TARGET"""
import pathlib
import platform
import sys
import tarfile
import zipfile

folder, target = map(pathlib.Path, sys.argv[1:])
machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
wanted = f"libsocketify_linux_{machine}.so"
for package in sorted(folder.iterdir()):
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            members = {name: archive.read(name) for name in archive.namelist() if name.endswith(wanted)}
    else:
        with tarfile.open(package) as archive:
            members = {m.name: archive.extractfile(m).read() for m in archive if m.isfile() and m.name.endswith(wanted)}
    for content in members.values():
        target.write_bytes(content)
        sys.exit(0)
sys.exit(f"no {wanted} in {folder}")
