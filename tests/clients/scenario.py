"""What a client is asked to do and should get, filled in, compared and told: a JSON line a step."""
import base64
import datetime
import json
import pathlib


class Step(Exception):
    """It went otherwise than it should."""


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__("%s: %s" % (code, message))
        self.code = code


def plain(value):
    """Bytes in base64, times in ISO 8601."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def at(output, path):
    for part in path.split("."):
        if output is None:
            return None
        if part == "length":
            output = len(output)
        elif isinstance(output, list):
            output = output[int(part)]
        else:
            output = output.get(part)
    return output


class Scenario:
    def __init__(self, name):
        self.saved, self.failed = {"s": name}, False

    @staticmethod
    def steps():
        return json.loads((pathlib.Path(__file__).parent / "scenario.json").read_text())

    def fill(self, value):
        if isinstance(value, str) and value.startswith("$"):
            return self.saved[value[1:]]
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, dict):
            return {key: self.fill(each) for key, each in value.items()}
        return value

    def compare(self, step, output):
        for path, wanted in step.get("expect", {}).items():
            found, wanted = at(output, path), self.fill(wanted)
            if (found is None) if wanted == "*" else (found != wanted):
                raise Step("%s is %r and should be %r" % (path, found, wanted))
        for to, path in step.get("save", {}).items():
            self.saved[to] = at(output, path)

    def run(self, step, call):
        """`call` takes the step and its input, and gives the output or raises Refused."""
        said = ""
        try:
            output = call(step, self.fill(step["in"]))
            if "error" in step:
                said = "not refused with " + step["error"]
            else:
                self.compare(step, plain(output))
        except Refused as refused:
            if refused.code != step.get("error"):
                said = str(refused)
        except Exception as error:  # told, whatever a client makes of it
            said = "%s: %s" % (type(error).__name__, error)
        self.failed = self.failed or bool(said)
        print(json.dumps({"operation": step["op"], "ok": not said, "said": said}), flush=True)
