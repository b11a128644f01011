-- wrk script: sends the requests of a file in turn, over and over. The file, named by MILLRACE_LOAD, holds what run.py made:
-- the method and path, then header lines, an empty line, and of each body a line with its bytes, itself and a line end. What
-- comes back is one line of JSON.

local requests = {}
local turn = 0

function init(arguments)
  local name = assert(os.getenv("MILLRACE_LOAD"), "MILLRACE_LOAD is not set")
  local file = assert(io.open(name, "rb"))
  local method, path = file:read("*l"):match("^(%S+) (%S+)$")
  local headers = {}
  for line in file:lines() do
    if line == "" then break end
    local name, value = line:match("^([^:]+): (.*)$")
    headers[name] = value
  end
  for size in file:lines() do
    requests[#requests + 1] = wrk.format(method, path, headers, file:read(tonumber(size)))
    file:read(1)
  end
  file:close()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nresult {"requests": %d, "seconds": %.6f, "bad_status": %d, "broken": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
