/// What an output is in the scenario: bytes in base64, times in ISO 8601.
export const base64 = (value) => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(base64);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, base64(v)]));
  return value;
};

/// Fills in what was saved, calls, compares, and says how it went.
export class Scenario {
  constructor(name) {
    this.saved = { s: name };
    this.failed = false;
  }

  fill(value) {
    if (typeof value === "string" && value.startsWith("$")) return this.saved[value.slice(1)];
    if (Array.isArray(value)) return value.map((each) => this.fill(each));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, this.fill(v)]));
    return value;
  }

  static at(output, path) {
    return path.split(".").reduce((value, part) => value?.[part], output);
  }

  compare(step, output) {
    for (const [path, wanted] of Object.entries(step.expect ?? {})) {
      const found = Scenario.at(output, path), expected = this.fill(wanted);
      const well = expected === "*" ? found !== undefined && found !== null : (found ?? null) === expected;
      if (!well) throw new Error(`${path} is ${JSON.stringify(found)} and should be ${JSON.stringify(expected)}`);
    }
    for (const [to, path] of Object.entries(step.save ?? {})) this.saved[to] = Scenario.at(output, path);
  }

  async run(step, call) {
    let said = "";
    try {
      const output = await call(this.fill(step.in));
      if (step.error) said = `not refused with ${step.error}`;
      else this.compare(step, output);
    } catch (error) {
      if (!step.error || error.name !== step.error) said = `${error.name}: ${error.message}`;
    }
    this.failed ||= said !== "";
    console.log(JSON.stringify({ operation: step.op, ok: said === "", said }));
  }
}
