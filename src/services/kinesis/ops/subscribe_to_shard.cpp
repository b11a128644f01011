// SubscribeToShard: a shard's records, pushed to a consumer as they come.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
#include <array>

#include "millrace/base/log.hpp"
#include "millrace/base/wakeup.hpp"
#include "millrace/codec/event_stream.hpp"
#include "millrace/streams/subscription.hpp"
#include "services/kinesis/record_pieces.hpp"
#include "services/kinesis/resource.hpp"
#include "services/kinesis/starting_position.hpp"

namespace millrace::services::kinesis {
namespace {

using streams::SubscriptionEnd;
using namespace std::chrono_literals;

// What a subscription keeps for its events between them, reserved for as long as it lasts; an event that is larger has
// its own while it is on its way.
constexpr std::size_t kKeptBytes = 16 * 1024;
// Up to this size an event is made once for all subscriptions that are where this one is.
constexpr std::size_t kSharedBytesMax = 256 * 1024;
// How often memory for a larger one is asked for, and how long: with what may have passed since the event before, less
// than the peer is ever left without a word.
constexpr std::chrono::milliseconds kMemoryRetry = 100ms, kMemoryPatience = 1800ms;

struct Input {
  std::string consumer_arn, shard_id;
  StartingPosition start;
  std::optional<std::string> stream_id;
  std::optional<bool> dry_run;
};
constexpr auto kStart = fields(field<&StartingPosition::type>("Type", one_of(kIteratorTypes)),
                               field<&StartingPosition::number>("SequenceNumber", pattern(kSequenceNumberPattern)),
                               field<&StartingPosition::timestamp>("Timestamp"));
constexpr auto kInput =
    fields(field<&Input::consumer_arn>("ConsumerARN", length(1, 2048), pattern(kConsumerArnPattern)),
           field<&Input::shard_id>("ShardId", length(1, 128), pattern(kNamePattern)),
           field<&Input::start>("StartingPosition", of(kStart)), field<&Input::stream_id>("StreamId"),
           field<&Input::dry_run>(kDryRun));

// All of an event but the records, which come first and are rendered from the log's own memory. Where the shard has
// ended there is no number to go on from: by that clients know it.
struct Event {
  std::optional<std::string> continuation;
  std::int64_t behind_ms = 0;
  std::optional<std::vector<ChildShard>> children;
};
constexpr auto kEvent =
    fields(field<&Event::continuation>("ContinuationSequenceNumber"), field<&Event::behind_ms>("MillisBehindLatest"),
           field<&Event::children>("ChildShards", of(kChildShard)));

struct Nothing {};
constexpr auto kNothing = fields();
struct Fault {
  std::string message;
};
constexpr auto kFault = fields(field<&Fault::message>("message"));

template <class Form>
constexpr std::string_view kEventContentType =
    Form::kWire == Wire::json ? "application/json" : "application/x-amz-cbor-1.1";

using Headers = std::array<codec::EventHeader, 3>;
template <class Form>
constexpr Headers event_headers(std::string_view type) {
  return {{{":event-type", type}, {":content-type", kEventContentType<Form>}, {":message-type", "event"}}};
}
template <class Form>
constexpr Headers exception_headers(std::string_view type) {
  return {{{":exception-type", type}, {":content-type", kEventContentType<Form>}, {":message-type", "exception"}}};
}

// An event as it is sent, and the memory that is reserved for it.
struct Frame {
  Reservation reserved;
  Buffer bytes;
};

// What a subscription is about, as errors name it.
struct Names {
  std::string stream, shard, consumer, consumer_arn;
};

template <class Form>
class ShardEvents final : public Pushed {
 public:
  ShardEvents(const Environment& environment, Names names, const streams::Shard& shard,
              std::unique_ptr<streams::Subscription> subscription, Reservation kept)
      : environment_(environment),
        names_(std::move(names)),
        shard_(shard.index),
        numbers_(shard.numbers),
        subscription_(std::move(subscription)),
        kept_(std::move(kept)) {
    Buffer payload;
    const Nothing nothing;
    encode(kNothing, &nothing, payload, Form::kWire);
    codec::write_event(out_, event_headers<Form>("initial-response"), payload.view());
  }

  std::string_view content_type() const noexcept override { return "application/vnd.amazon.eventstream"; }

  awaitable<std::string_view> next() override {
    if (!begun_) {
      begun_ = true;
      co_return out_.view();
    }
    out_.clear();
    frame_.reset();
    if (!pieces_) {
      if (over_) co_return std::string_view{};
      give_back();
      std::variant<streams::SubscriptionEvent, SubscriptionEnd> came = co_await subscription_->next();
      if (const SubscriptionEnd* end = std::get_if<SubscriptionEnd>(&came)) {
        over_ = true;
        tell(*end);
        co_return out_.view();
      }
      streams::SubscriptionEvent& event = std::get<streams::SubscriptionEvent>(came);
      if (take_shared(event)) co_return frame_->bytes.view();
      const Place place = begin(event);
      if (share(place)) co_return frame_->bytes.view();
      const bool room = co_await make_room();
      if (!room) {
        pieces_.reset();
        over_ = true;
        co_return out_.view();
      }
      writer_.emplace(out_, event_headers<Form>(kEventName), pieces_->size());
    }
    const std::size_t before = out_.size();
    pieces_->next(out_);
    writer_->count(out_.view().substr(before));
    if (writer_->left() == 0) {
      writer_->end(out_);
      pieces_.reset();
    }
    co_return out_.view();
  }

 private:
  static constexpr std::string_view kEventName = "SubscribeToShardEvent";
  static constexpr auto kForm =
      Form::kWire == Wire::json ? streams::SharedEvents::Form::json : streams::SharedEvents::Form::cbor;

  // Which records an event has; nothing where it is of no use to others.
  using Place = std::optional<streams::SharedEvents::Made>;

  static Place place_of(const streams::SubscriptionEvent& event) {
    if (event.batch.records == 0 || event.stream) return std::nullopt;
    return streams::SharedEvents::Made{event.batch.runs.front().first, event.batch.next, event.behind_ms, nullptr};
  }

  // What another subscription has made of the same records; or of more, when those were all there were.
  bool take_shared(const streams::SubscriptionEvent& event) {
    const Place place = place_of(event);
    if (!place) return false;
    streams::SharedEvents::Made made = subscription_->shared().find(kForm, place->first);
    if (!made.what || made.behind_ms != place->behind_ms) return false;
    if (made.next != place->next && (made.next < place->next || made.behind_ms != 0)) return false;
    subscription_->skip_to(made.next);
    frame_ = std::static_pointer_cast<const Frame>(std::move(made.what));
    return true;
  }

  Place begin(streams::SubscriptionEvent& event) {
    Place place = place_of(event);
    Event rest;
    rest.behind_ms = event.behind_ms;
    caught_up_ = event.behind_ms == 0;
    if (event.stream)
      rest.children = children_of(*event.stream, shard_);
    else
      rest.continuation = std::move(event.continuation);
    Buffer object;
    encode(kEvent, &rest, object, Form::kWire);
    pieces_.emplace(std::move(event.batch), numbers_);
    pieces_->end_with(object.view(), 1 + rest.continuation.has_value() + rest.children.has_value());
    return place;
  }

  std::size_t bytes_of(std::size_t payload) const noexcept {
    return codec::event_bytes(event_headers<Form>(kEventName), payload);
  }

  // Makes the event whole, in memory that all who are at its place send it from.
  bool share(const Place& place) {
    if (!place || pieces_->size() > kSharedBytesMax) return false;
    const std::size_t bytes = bytes_of(pieces_->size() + pieces_->slack());
    auto frame = std::make_shared<Frame>();
    frame->reserved = Reservation::take(environment_.budget, Account::replies, bytes);
    if (!frame->reserved) return false;
    Buffer& out = frame->bytes;
    out.reserve(bytes);
    codec::EventWriter writer(out, event_headers<Form>(kEventName), pieces_->size());
    const std::size_t head = out.size();
    while (pieces_->next(out)) {
    }
    writer.count(out.view().substr(head));
    writer.end(out);
    pieces_.reset();
    streams::SharedEvents::Made made = *place;
    made.what = frame;
    frame_ = std::move(frame);
    subscription_->shared().leave(kForm, std::move(made));
    return true;
  }

  // Room for a piece of the event, in memory that is reserved for it. False: there was none for too long, or nobody
  // waits any more.
  awaitable<bool> make_room() {
    const std::size_t bytes = bytes_of(pieces_->piece_bytes_max());
    if (bytes <= std::max(kKeptBytes, more_.bytes())) {
      out_.reserve(std::max(bytes, kKeptBytes));
      co_return true;
    }
    out_.release();
    more_.release();
    const TimePoint until = environment_.clock.now() + kMemoryPatience;
    for (;;) {
      more_ = Reservation::take(environment_.budget, Account::replies, bytes);
      if (more_) break;
      const TimePoint now = environment_.clock.now();
      if (now >= until) {
        logging::warn("a subscription ends: no memory for its next event",
                      {{"stream", names_.stream}, {"shard", names_.shard}, {"bytes", bytes}});
        put_exception("InternalFailureException", "Internal Service Error");
        co_return false;
      }
      const bool came = co_await sleep_until(environment_.clock, std::min(until, now + kMemoryRetry));
      if (!came) co_return false;
    }
    out_.reserve(bytes);
    co_return true;
  }

  // A reader that has caught up holds little: what comes now may come late.
  void give_back() noexcept {
    if (!more_ || !caught_up_) return;
    out_.release();
    more_.release();
  }

  void tell(SubscriptionEnd end) {
    switch (end) {
      case SubscriptionEnd::over:
      case SubscriptionEnd::cancelled:
        return;
      case SubscriptionEnd::taken_over: {
        const streams::Error error{streams::Errc::consumer_subscribed, names_.consumer};
        return put(to_service_error(error, environment_, {.stream = names_.stream, .shard = names_.shard}));
      }
      case SubscriptionEnd::stream_gone:
        return put(stream_not_found(environment_, names_.stream));
      case SubscriptionEnd::shard_gone:
        return put(shard_not_found(environment_, names_.stream, names_.shard));
      case SubscriptionEnd::consumer_gone: {
        const streams::Error error{streams::Errc::consumer_not_found, {}};
        return put(to_service_error(error, environment_, {.stream = names_.stream, .consumer = names_.consumer_arn}));
      }
      case SubscriptionEnd::failed:
        return put_exception("InternalFailureException", "Internal Service Error");
    }
  }
  void put(const ServiceError& error) { put_exception(error.type, error.message); }
  void put_exception(std::string_view type, std::string_view message) {
    const Fault fault{std::string(message)};
    Buffer payload;
    encode(kFault, &fault, payload, Form::kWire);
    codec::write_event(out_, exception_headers<Form>(type), payload.view());
  }

  const Environment& environment_;
  const Names names_;
  const std::uint32_t shard_;
  const streams::SequenceNumbers numbers_;
  const std::unique_ptr<streams::Subscription> subscription_;
  Reservation kept_, more_;
  Buffer out_;
  std::shared_ptr<const Frame> frame_;        // what is sent, where it is shared
  std::optional<RecordPieces<Form>> pieces_;  // else of the event that is on its way
  std::optional<codec::EventWriter> writer_;
  bool begun_ = false, over_ = false, caught_up_ = true;
};

awaitable<void> subscribe_to_shard(Context& context, std::string_view body, Reply& reply) {
  const Environment& environment = context.environment;
  Input in;
  if (std::optional<ServiceError> refused = decode(body, kInput, &in, Dialect{}, context.wire)) {
    reply.error = std::move(refused);
    co_return;
  }
  const ConsumerSelector selector{.stream_arn = {}, .name = {}, .arn = in.consumer_arn, .stream_id = {}};
  const Outcome<Resource> found = find_consumer(environment, selector);
  if (!found) {
    reply.error = found.error();
    co_return;
  }
  const streams::StreamRef stream = found->stream;
  const TimePoint now = environment.clock.now();
  const std::optional<std::uint32_t> index = shard_index(in.shard_id);
  if (!index) {
    reply.error = shard_id_unknown(environment, stream->name, in.shard_id);
    co_return;
  }
  const streams::Shard* const shard = stream->shard(*index);
  if (!shard || stream->expired(*shard, now)) {
    reply.error = shard_not_found(environment, stream->name, shard_id(*index));
    co_return;
  }
  const streams::Consumer consumer = *found->consumer;
  Subject subject{.stream = stream->name, .consumer = consumer.name, .shard = shard->id};
  if (consumer.status(now) != streams::ConsumerStatus::active) {
    const streams::Error error{streams::Errc::consumer_not_active, std::to_string(consumer.created_s)};
    reply.error = to_service_error(error, environment, subject);
    co_return;
  }
  const Outcome<log::Position> from =
      co_await find_position(environment, stream, *shard, in.start, now, "SubscribeToShard");
  if (!from) {
    reply.error = from.error();
    co_return;
  }
  if ((reply.error = check_dry_run(in.dry_run))) co_return;
  Reservation kept = Reservation::take(environment.budget, Account::replies, kKeptBytes);
  if (!kept) {
    reply.error =
        ServiceError{"LimitExceededException", 400, "Rate exceeded. The memory limit of this server is reached."};
    co_return;
  }
  auto subscription =
      environment.streams.subscriptions().begin({stream, shard->index, consumer.name, consumer.created_s, *from});
  if (!subscription) {
    reply.error = to_service_error(subscription.error(), environment, subject);
    co_return;
  }
  Names names{stream->name, shard->id, consumer.name, in.consumer_arn};
  if (context.wire == Wire::json)
    reply.pushed = std::make_unique<ShardEvents<JsonRecords>>(environment, std::move(names), *shard,
                                                              std::move(*subscription), std::move(kept));
  else
    reply.pushed = std::make_unique<ShardEvents<CborRecords>>(environment, std::move(names), *shard,
                                                              std::move(*subscription), std::move(kept));
}

}  // namespace

extern constinit const Operation subscribe_to_shard_operation{"SubscribeToShard", subscribe_to_shard, kInput, true};

}  // namespace millrace::services::kinesis
