#pragma once
#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/http.hpp"

/// The in-memory side of the plain HTTP types: what handlers are tested on without a socket.
namespace millrace::test {

/// A body that is there from the start, given in pieces of the sizes asked for.
class MemoryBody final : public http::Body {
 public:
  /// @param piece_sizes      sizes of the pieces pull() gives; what is left comes as one last piece
  /// @param length_announced false: as a chunked body, whose length is not known in advance
  explicit MemoryBody(std::string bytes = {}, std::vector<std::size_t> piece_sizes = {}, bool length_announced = true)
      : bytes_(std::move(bytes)), piece_sizes_(std::move(piece_sizes)), length_announced_(length_announced) {}

  /// Every read fails with this from here on.
  void fail_with(http::Errc code) { failure_ = code; }
  /// Whether the handler has asked for the body at all (and so a 100-continue would have been sent).
  bool asked() const noexcept { return asked_; }

  std::optional<std::uint64_t> length() const noexcept override {
    if (!length_announced_) return std::nullopt;
    return bytes_.size();
  }
  awaitable<http::Result<std::string_view>> collect(std::size_t bytes_max) override {
    const bool refused_by_length = length_announced_ && bytes_.size() > bytes_max;
    if (!refused_by_length) asked_ = true;
    if (failure_) co_return http::Error{*failure_, "injected"};
    if (bytes_.size() > bytes_max) co_return http::Error{http::Errc::too_large, ""};
    read_ = bytes_.size();
    co_return std::string_view(bytes_);
  }
  awaitable<http::Result<std::string_view>> pull() override {
    asked_ = true;
    if (failure_) co_return http::Error{*failure_, "injected"};
    std::size_t size = bytes_.size() - read_;
    if (next_piece_ < piece_sizes_.size()) size = std::min(size, piece_sizes_[next_piece_++]);
    std::string_view piece = std::string_view(bytes_).substr(read_, size);
    read_ += size;
    co_return piece;
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> piece_sizes_;
  bool length_announced_;
  std::optional<http::Errc> failure_;
  std::size_t read_ = 0, next_piece_ = 0;
  bool asked_ = false;
};

/// Keeps what a handler replies, and says where a handler breaks ResponseWriter's rules.
class RecordedResponse final : public http::ResponseWriter {
 public:
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<std::size_t> pieces;  ///< size of every write() of a streamed reply
  bool finished = false;            ///< sent, or started and finished
  bool aborted = false;
  /// The first rule that the handler broke, empty when none.
  std::string misuse;

  /// From this many body bytes on, the peer is gone: calls give peer_gone.
  void peer_leaves_after(std::size_t body_bytes) { peer_leaves_after_ = body_bytes; }

  /// The first value of a header, without case; "" when it is not there.
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (http::same_token(key, name)) return value;
    return "";
  }
  bool has_header(std::string_view name) const {
    return std::any_of(headers.begin(), headers.end(), [&](const auto& h) { return http::same_token(h.first, name); });
  }

  awaitable<http::Result<>> send(const http::ResponseHead& head, std::span<const Slice> slices) override {
    begin(head);
    for (const Slice& slice : slices) body.append(slice.bytes);
    finished = true;
    co_return peer_result();
  }
  awaitable<http::Result<>> start(const http::ResponseHead& head, std::optional<std::uint64_t> length) override {
    begin(head);
    length_ = length;
    streaming_ = true;
    co_return peer_result();
  }
  awaitable<http::Result<>> write(Slice piece) override {
    if (!streaming_ || finished || aborted) broken("write() outside start() and finish()");
    body.append(piece.bytes);
    pieces.push_back(piece.bytes.size());
    if (length_ && body.size() > *length_) broken("more written than the length announced");
    co_return peer_result();
  }
  awaitable<http::Result<>> finish() override {
    if (!streaming_ || finished || aborted) broken("finish() without start()");
    if (length_ && body.size() != *length_) broken("the length announced was not written");
    finished = true;
    co_return peer_result();
  }
  void abort() noexcept override { aborted = true; }
  bool started() const noexcept override { return begun_; }

 private:
  void begin(const http::ResponseHead& head) {
    if (begun_) broken("a second reply was begun");
    begun_ = true;
    status = head.status;
    headers.clear();
    for (const http::Header& header : head.headers) headers.emplace_back(header.name, header.value);
  }
  void broken(const char* rule) {
    if (misuse.empty()) misuse = rule;
  }
  http::Result<> peer_result() const {
    if (peer_leaves_after_ && body.size() >= *peer_leaves_after_) return http::Error{http::Errc::peer_gone, "injected"};
    return {};
  }

  std::optional<std::size_t> peer_leaves_after_;
  std::optional<std::uint64_t> length_;
  bool begun_ = false, streaming_ = false;
};

/// A request with the memory its views need. Set the rest (protocol, peer, listener) on `request` directly.
class TestRequest {
 public:
  explicit TestRequest(std::string method, std::string target, std::string body = {})
      : TestRequest(std::move(method), std::move(target), std::make_unique<MemoryBody>(std::move(body))) {}
  TestRequest(std::string method, std::string target, std::unique_ptr<MemoryBody> body)
      : method_(std::move(method)), target_(std::move(target)), body_(std::move(body)) {
    request.method = method_;
    request.target = target_;
    const std::string_view whole = target_;
    const std::size_t mark = whole.find('?');
    request.path = whole.substr(0, mark);
    if (mark != std::string_view::npos) request.query = whole.substr(mark + 1);
    request.protocol = "HTTP/1.1";
    request.peer_address = "127.0.0.1";
    request.body = body_.get();
  }
  TestRequest(const TestRequest&) = delete;
  TestRequest& operator=(const TestRequest&) = delete;

  TestRequest& header(std::string name, std::string value) {
    const auto& kept = texts_.emplace_back(std::move(name), std::move(value));
    request.headers.add(kept.first, kept.second);
    return *this;
  }
  MemoryBody& body() noexcept { return *body_; }

  http::Request request;

 private:
  std::string method_, target_;
  std::unique_ptr<MemoryBody> body_;
  std::deque<std::pair<std::string, std::string>> texts_;  // a deque: views into it stay valid
};

}  // namespace millrace::test
