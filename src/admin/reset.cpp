#include "admin/reset.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include "admin/measures.hpp"
#include "admin/query.hpp"
#include "millrace/base/log.hpp"

namespace millrace::admin {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::ordered_json;

// Set while it lives, so that two resets do not run into each other.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken), mine_(!taken.exchange(true)) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (mine_) taken_ = false;
  }
  explicit operator bool() const noexcept { return mine_; }

 private:
  std::atomic<bool>& taken_;
  bool mine_;
};

std::string_view fate(bool objects) { return objects ? "removed" : "kept"; }

Answer failed(std::string_view what, std::string_view why) {
  logging::error("reset failed", {{"at", what}, {"error", why}});
  return json(500, {{"reset", false}, {"failed", what}, {"error", why}});
}

}  // namespace

// What is kept on disk is not thrown away unless somebody has said that it may be.
bool Reset::enabled() const noexcept {
  return dependencies_.reset_enabled.value_or(dependencies_.storage_mode == "memory");
}

awaitable<Answer> Reset::run(const http::Request& request) {
  if (request.method != "POST") co_return not_allowed("POST");
  if (request.headers.find("Origin"))
    co_return refused(403, "reset is not for browsers: the request has an Origin header");
  if (!enabled()) co_return refused(403, "reset is not enabled");
  bool objects = false;
  for (const auto& [name, value] : query_parameters(request.query)) {
    if (name != "objects") co_return unknown_parameter(name);
    if (value != "true" && value != "false") co_return refused(400, "objects must be true or false");
    objects = value == "true";
  }
  const Turn turn(running_);
  if (!turn) co_return refused(409, "another reset is running");
  logging::warn("reset", {{"objects", fate(objects)}, {"asked_at", request.path}});

  // A peer that goes away does not leave half a reset behind.
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  Answer answer = co_await reset_all(objects);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_return answer;
}

awaitable<Answer> Reset::reset_all(bool objects) {
  // Delivery first: it reads the streams and writes the objects.
  for (const Part& part : parts_of(dependencies_)) co_await part.delivery.clear();
  for (const Part& part : parts_of(dependencies_)) {
    auto cleared = co_await part.streams.clear();
    if (!cleared) co_return failed("streams", cleared.error().detail);
  }
  if (objects) {
    auto objects_cleared = co_await dependencies_.objects.clear();
    if (!objects_cleared) co_return failed("objects", objects_cleared.error().detail);
  }
  if (dependencies_.declare_again) {
    const std::string wrong = co_await dependencies_.declare_again();
    if (!wrong.empty()) co_return failed("declarations", wrong);
  }
  Answer answer = json(200, {{"reset", true}, {"objects", objects}});
  answer.objects = fate(objects);
  co_return answer;
}

}  // namespace millrace::admin
