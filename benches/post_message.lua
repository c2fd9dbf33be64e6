-- wrk's requests: each the next of some hundreds of messages, made once, in chats that take turns.
--
-- wrk ... -s post_message.lua URL -- MEMBERS_FILE TEXTS_FILE
-- The files hold a line `chat author` for each member of a chat, and a text a line.

local requests = {}
local at = 0

local function lines(path)
  local all = {}
  for line in io.lines(path) do
    all[#all + 1] = line
  end
  return all
end

function init(args)
  local members, texts = lines(args[1]), lines(args[2])
  local headers = { ["Content-Type"] = "application/json" }
  -- One member more or less a round, so that every member comes to say every text.
  for number = 0, #members * #texts - 1 do
    local round = math.floor(number / #members)
    local chat, author = members[number % #members + 1]:match("(%S+) (%S+)")
    local text = texts[(number + round) % #texts + 1]
    local body = string.format('{"chat":"%s","author":"%s","text":"%s"}', chat, author, text)
    requests[number + 1] = wrk.format("POST", "/messages/add", headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

-- requests, seconds, p50 and p99 in microseconds, answers that were errors, connections that failed
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("result %d %f %d %d %d %d\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
