#!/usr/bin/env python3
"""Writes kto_config.json beside this file: every argument of TRL's KTOConfig with its default, as to_dict() gives them
(trl 1.16.0, transformers 5.23.0), on a machine without a GPU. A folder and a precision had to be named."""

import json
import pathlib

from trl import KTOConfig

config = KTOConfig(output_dir="run", report_to=[], bf16=False, use_cpu=True)
text = json.dumps(config.to_dict(), indent=1)
pathlib.Path(__file__).with_name("kto_config.json").write_text(text + "\n")
