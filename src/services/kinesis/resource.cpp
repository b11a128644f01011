#include "services/kinesis/resource.hpp"

#include <algorithm>
#include <charconv>

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kStart = "arn:aws", kService = ":kinesis:", kStream = "stream/", kConsumer = "/consumer/";
constexpr std::size_t kAccountDigits = 12;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Whether `text` is what stands before `stream/`: `arn:aws.*:kinesis:.*:\d{12}:.*`
bool is_head(std::string_view text) noexcept {
  if (!text.starts_with(kStart) || text.find_first_of("\n\r") != text.npos) return false;
  std::size_t at = text.find(kService, kStart.size());
  if (at == text.npos) return false;
  // The colon that ends `:kinesis:` does not begin the account.
  for (at = text.find(':', at + kService.size()); at != text.npos; at = text.find(':', at + 1)) {
    const std::string_view rest = text.substr(at + 1);
    if (rest.size() > kAccountDigits && rest[kAccountDigits] == ':' &&
        std::all_of(rest.begin(), rest.begin() + kAccountDigits, is_digit))
      return true;
  }
  return false;
}

ServiceError consumer_not_found(const Environment& environment, std::string_view consumer) {
  return {"ResourceNotFoundException", 400,
          "Consumer " + std::string(consumer) + ", account " + environment.account_id + " not found."};
}

}  // namespace

std::optional<ConsumerArn> parse_consumer_arn(std::string_view arn) noexcept {
  const std::size_t middle = arn.rfind(kConsumer);
  if (middle == arn.npos) return std::nullopt;
  const std::string_view left = arn.substr(0, middle), right = arn.substr(middle + kConsumer.size());
  const std::size_t stream = left.rfind(kStream), colon = right.rfind(':');
  if (stream == left.npos || colon == right.npos || !is_head(left.substr(0, stream))) return std::nullopt;
  ConsumerArn out{left.substr(stream + kStream.size()), right.substr(0, colon), -1};
  const std::string_view digits = right.substr(colon + 1);
  if (!matches_name(out.stream) || !matches_name(out.consumer) || digits.empty() ||
      !std::all_of(digits.begin(), digits.end(), is_digit))
    return std::nullopt;
  // A number that does not fit is nobody's.
  (void)std::from_chars(digits.data(), digits.data() + digits.size(), out.created_s);
  return out;
}

bool matches_consumer_arn(std::string_view value) noexcept { return parse_consumer_arn(value).has_value(); }

bool matches_resource_arn(std::string_view value) noexcept {
  for (std::size_t at = value.find(kStream); at != value.npos; at = value.find(kStream, at + 1)) {
    const std::string_view rest = value.substr(at + kStream.size());
    if (!rest.empty() && rest.find_first_of(" \t\n\v\f\r") == rest.npos && is_head(value.substr(0, at))) return true;
  }
  return false;
}

std::string consumer_arn(const Environment& environment, std::string_view stream, const streams::Consumer& consumer) {
  return stream_arn(environment, stream) + std::string(kConsumer) + consumer.name + ":" +
         std::to_string(consumer.created_s);
}

Outcome<Resource> find_consumer(const Environment& environment, const ConsumerSelector& selector) {
  if (!selector.arn && (!selector.stream_arn || !selector.name))
    return invalid_argument("Either ConsumerARN, or both StreamARN and ConsumerName must be provided.");
  // The patterns have been checked.
  const std::optional<ConsumerArn> arn = selector.arn ? parse_consumer_arn(*selector.arn) : std::nullopt;
  const std::optional<std::string_view> named =
      selector.stream_arn ? arn_resource_name(*selector.stream_arn) : std::nullopt;
  if (arn && ((named && *named != arn->stream) || (selector.name && *selector.name != arn->consumer)))
    return invalid_argument(
        "ConsumerARN " + *selector.arn + " does not agree with the " +
        (named && *named != arn->stream ? "StreamARN " + *selector.stream_arn : "ConsumerName " + *selector.name) +
        ".");
  const std::string_view stream = arn ? arn->stream : *named;
  const std::string_view name = arn ? arn->consumer : std::string_view(*selector.name);
  Resource out;
  out.stream = environment.streams.find(stream);
  if (!out.stream) return stream_not_found(environment, stream);
  out.consumer = out.stream->consumers.find(name, environment.clock.now());
  if (!out.consumer || (arn && arn->created_s != out.consumer->created_s))
    return consumer_not_found(environment, selector.name ? std::string_view(*selector.name) : *selector.arn);
  return out;
}

Outcome<Resource> find_resource(const Environment& environment, const ResourceSelector& selector) {
  Resource out;
  if (const auto arn = parse_consumer_arn(selector.arn)) {
    out.stream = environment.streams.find(arn->stream);
    if (!out.stream) return stream_not_found(environment, arn->stream);
    out.consumer = out.stream->consumers.find(arn->consumer, environment.clock.now());
    if (!out.consumer || out.consumer->created_s != arn->created_s)
      return consumer_not_found(environment, selector.arn);
    return out;
  }
  const std::string_view name = arn_resource_name(selector.arn).value_or(selector.arn);
  out.stream = environment.streams.find(name);
  if (!out.stream) return stream_not_found(environment, name);
  return out;
}

Outcome<streams::StreamRef> find_stream(Context& context, const StreamArnSelector& selector) {
  return find_stream(context, StreamSelector{.name = {}, .arn = selector.arn, .id = {}});
}

Outcome<streams::StreamRef> find_stream(Context& context, const StreamArnSelector& selector, streams::Call call) {
  return find_stream(context, StreamSelector{.name = {}, .arn = selector.arn, .id = {}}, call);
}

std::string resource_text(const Environment& environment, const Resource& resource) {
  if (resource.consumer)
    return "consumer " + resource.consumer->name + " under stream " + resource.stream->name + " , account " +
           environment.account_id;
  return "stream " + resource.stream->name + " under account " + environment.account_id;
}

ConsumerOutput consumer_output(const Environment& environment, std::string_view stream,
                               const streams::Consumer& consumer) {
  return {consumer.name, consumer_arn(environment, stream, consumer),
          std::string(streams::status_name(consumer.status(environment.clock.now()))),
          TimePoint{std::chrono::seconds{consumer.created_s}}};
}

}  // namespace millrace::services::kinesis
