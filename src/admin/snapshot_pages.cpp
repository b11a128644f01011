#include "admin/snapshot_pages.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include "admin/query.hpp"
#include "millrace/base/log.hpp"
#include "millrace/base/utc_text.hpp"

namespace millrace::admin {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::ordered_json;
using snapshots::Errc;

Json described(const snapshots::Snapshot& snapshot) {
  Json out = {{"name", snapshot.name},
              {"created", utc_text(snapshot.created)},
              {"files", snapshot.files},
              {"bytes", snapshot.bytes},
              {"version", snapshot.version}};
  if (!snapshot.replaced_by.empty()) out["replaced_by"] = snapshot.replaced_by;
  return out;
}

Json described(const snapshots::Restore& restore) {
  Json out = {{"snapshot", restore.name}, {"asked", utc_text(restore.asked)}, {"kept_as", restore.kept_as}};
  if (!restore.because.empty()) out["because"] = restore.because;
  return out;
}

int status_of(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_name:
      return 400;
    case Errc::not_found:
      return 404;
    case Errc::exists:
    case Errc::busy:
    case Errc::unsupported:
    case Errc::damaged:
      return 409;
    case Errc::full:
      return 507;
    case Errc::failed:
      return 500;
  }
  return 500;
}

Answer refused_by(std::string_view what, const snapshots::Error& error) {
  const int status = status_of(error.code);
  if (status >= 500) logging::error(what, {{"error", error.detail}});
  return refused(status, error.detail);
}

/// Runs `call` on a file thread, to its end also when the peer goes.
template <class Call>
auto blocking(FileThreads& threads, Call call) -> awaitable<decltype(call())> {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::optional<decltype(call())> result;
  auto work = [&] { result.emplace(call()); };
  co_await threads.run(work);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  co_return *std::move(result);
}

constexpr std::string_view kRestore = "/restore";

}  // namespace

awaitable<Answer> SnapshotPages::answer(const http::Request& request, std::string_view path, Ready& ready) {
  const std::string_view method = request.method;
  const bool reads = method == "GET" || method == "HEAD";
  if (!reads && request.headers.find("Origin"))
    co_return refused(403, "snapshots are not for browsers: the request has an Origin header");
  const bool of_all = path.empty() || path == "/";
  const bool restores = !of_all && path.ends_with(kRestore);
  const std::string_view changes = of_all || restores ? "POST" : "DELETE";
  if (method != changes && (restores || !reads)) {
    constexpr std::string_view kAll = "GET, HEAD, POST", kOne = "GET, HEAD, DELETE";
    co_return not_allowed(restores ? changes : of_all ? kAll : kOne);
  }
  if (!dependencies_.snapshots)
    co_return refused(409, "there are no snapshots: storage.mode is " + dependencies_.storage_mode);
  std::string name;
  for (const auto& [parameter, value] : query_parameters(request.query)) {
    if (!of_all || reads || parameter != "name") co_return unknown_parameter(parameter);
    name = value;
  }
  if (of_all && reads) co_return co_await list();
  if (of_all) co_return co_await make(name);
  name = path.substr(1);
  if (reads) co_return co_await find(name);
  if (!restores) co_return co_await remove(name);
  name.resize(name.size() - kRestore.size());
  co_return co_await restore(name, ready);
}

awaitable<Answer> SnapshotPages::list() {
  using Found = std::pair<snapshots::Result<std::vector<snapshots::Snapshot>>, std::optional<snapshots::Restore>>;
  auto look = [&] { return Found(dependencies_.snapshots->list(), dependencies_.snapshots->last_restore()); };
  const Found found = co_await blocking(dependencies_.file_threads, look);
  if (!found.first) co_return refused_by("snapshots cannot be listed", found.first.error());
  Json all = Json::array();
  for (const snapshots::Snapshot& snapshot : *found.first) all.push_back(described(snapshot));
  co_return json(200, {{"snapshots", all}, {"last_restore", found.second ? described(*found.second) : Json()}});
}

awaitable<Answer> SnapshotPages::make(const std::string& name) {
  auto call = [&] { return dependencies_.snapshots->make(name); };
  const auto made = co_await blocking(dependencies_.file_threads, call);
  if (!made) co_return refused_by("no snapshot could be made", made.error());
  logging::info("snapshot", {{"name", made->name}, {"files", made->files}, {"bytes", made->bytes}});
  co_return json(200, described(*made));
}

awaitable<Answer> SnapshotPages::find(const std::string& name) {
  auto call = [&] { return dependencies_.snapshots->find(name); };
  const auto found = co_await blocking(dependencies_.file_threads, call);
  co_return found ? json(200, described(*found)) : refused_by("a snapshot cannot be read", found.error());
}

awaitable<Answer> SnapshotPages::remove(const std::string& name) {
  auto call = [&] { return dependencies_.snapshots->remove(name); };
  const auto removed = co_await blocking(dependencies_.file_threads, call);
  if (!removed) co_return refused_by("a snapshot could not be removed", removed.error());
  logging::info("snapshot removed", {{"name", name}});
  co_return json(200, {{"removed", name}});
}

awaitable<Answer> SnapshotPages::restore(const std::string& name, Ready& ready) {
  auto call = [&] { return dependencies_.snapshots->prepare_restore(name); };
  const auto prepared = co_await blocking(dependencies_.file_threads, call);
  if (!prepared) co_return refused_by("a snapshot cannot be restored", prepared.error());
  logging::warn("restoring a snapshot", {{"name", name}, {"kept_as", prepared->kept_as}});
  ready = false;  // from before the reply on: who waits for /ready is not to see the life that ends
  dependencies_.begin_again();
  co_return json(202, {{"restoring", name}, {"kept_as", prepared->kept_as}});
}

}  // namespace millrace::admin
