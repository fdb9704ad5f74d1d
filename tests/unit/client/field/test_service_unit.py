"""What is installed on a field gateway says what the program understands."""

import configparser
import re
import shlex
from pathlib import Path

import pytest

from varanger.client.field import main
from varanger.client.field.ends import Exit

ROOT = Path(__file__).resolve().parents[4]
FIELD = ROOT / "deploy" / "field"
OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition("## In the field")[2]
PAGE = OPERATING.partition("\n## ")[0]


def test_the_unit_starts_what_there_is(monkeypatch):
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(FIELD / "varanger-field.service", encoding="utf-8")
    example = (FIELD / "field.env.example").read_text(encoding="utf-8")
    environment = dict(re.findall(r"^(VARANGER_\w+)=(.*)$", example, re.MULTILINE))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command = unit["Service"]["ExecStart"].replace("${STATE_DIRECTORY}", "/var/lib/varanger-field")
    words = shlex.split(re.sub(r"\$\{?(\w+)\}?", lambda found: environment[found[1]], command))
    given = main.parser().parse_args(words[1:])
    assert (given.command, str(given.folder)) == ("watch", environment["VARANGER_FOLDER"])
    assert (given.url, given.project) == (environment["VARANGER_URL"], environment["VARANGER_PROJECT"])
    assert unit["Service"]["Restart"] == "always"
    assert unit["Service"]["EnvironmentFile"] == "/etc/varanger/field.env"


@pytest.mark.parametrize("command", ["send", "watch"])
def test_the_page_has_every_option_with_its_default(command):
    given = main.parser().parse_args([command, "/card", "--limit-rate", "500k"])
    [action] = [each for each in main.parser()._actions if each.dest == "command"]
    known = {option for each in action.choices[command]._actions for option in each.option_strings}
    from_environment = {"--url", "--key", "--project", "--deployment"}
    written = set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE))
    assert written == known - from_environment - {"-h", "--help"}
    for option, default in re.findall(r"^\| `--([a-z-]+) (\d+)M?`", PAGE, re.MULTILINE):
        value = getattr(given, option.replace("-", "_"))
        assert value in (float(default), int(default) << 20), option


def test_the_page_has_every_exit_status():
    written = [int(number) for number in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)]
    assert written == sorted(Exit)
