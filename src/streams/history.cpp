#include "streams/history.hpp"

#include <algorithm>

namespace millrace::streams {

std::optional<Error> count_today(const Stream& stream, std::vector<TimePoint>& times, std::size_t most, TimePoint now) {
  if (!stream.limits) return std::nullopt;
  std::erase_if(times, [now](TimePoint time) { return time <= now - std::chrono::hours{24}; });
  if (times.size() >= most) return Error{Errc::too_often, std::to_string(most)};
  times.push_back(now);
  return std::nullopt;
}

void begin_mode(Stream& stream, Mode mode, TimePoint now) {
  stream.history.peaks.clear();
  stream.history.scaled.reset();
  if (mode == Mode::on_demand && stream.limits) stream.history.scaled = now;
}

std::optional<Error> check_on_demand_streams(const Streams& streams) {
  const std::vector<StreamRef> all = streams.list({}, SIZE_MAX);
  const auto count = std::count_if(all.begin(), all.end(), [](const StreamRef& stream) {
    return stream->settings.mode == Mode::on_demand && !stream->deleting;
  });
  if (static_cast<std::uint64_t>(count) < streams.options().limits.quotas.on_demand_streams) return std::nullopt;
  return Error{Errc::on_demand_streams, std::to_string(count)};
}

}  // namespace millrace::streams
