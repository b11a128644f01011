#pragma once
#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/client.hpp"

namespace millrace::test {

/// One frame as it stands on the wire.
inline std::string frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream, std::string_view payload) {
  std::string bytes;
  const auto size = static_cast<std::uint32_t>(payload.size()), id = static_cast<std::uint32_t>(stream);
  for (const unsigned shift : {16u, 8u, 0u}) bytes += static_cast<char>(size >> shift);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (const unsigned shift : {24u, 16u, 8u, 0u}) bytes += static_cast<char>(id >> shift);
  return bytes.append(payload);
}

/// A field that is in no table, in plain letters (RFC 7541, 6.2.2).
inline std::string plain_field(std::string_view name, std::string_view value) {
  const auto text = [](std::string_view s) {
    std::string out;
    if (s.size() < 127) {
      out += static_cast<char>(s.size());
    } else {
      out += static_cast<char>(127);
      std::size_t rest = s.size() - 127;
      for (; rest >= 128; rest /= 128) out += static_cast<char>(rest % 128 + 128);
      out += static_cast<char>(rest);
    }
    return out.append(s);
  };
  return std::string(1, '\0') + text(name) + text(value);
}

using Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string plain_fields(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) block += plain_field(name, value);
  return block;
}

inline Fields request_fields(std::string method, std::string path, Fields more = {}) {
  Fields fields{{":method", std::move(method)}, {":scheme", "http"}, {":authority", "a"}, {":path", std::move(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

/// What a connection begins with: the preface and settings without any.
inline std::string opening() { return std::string(NGHTTP2_CLIENT_MAGIC) + frame(NGHTTP2_SETTINGS, 0, 0, ""); }

struct Http2ClientOptions {
  std::uint32_t window = NGHTTP2_INITIAL_WINDOW_SIZE;  ///< of each stream
  bool updates = true;                                 ///< gives the server its windows back
};

/// A frame that has come.
struct WireFrame {
  std::uint8_t type = 0, flags = 0;
  std::int32_t stream = 0;
  std::string payload;
  /// The error that a RST_STREAM or GOAWAY names.
  std::uint32_t error() const {
    const std::size_t at = type == NGHTTP2_GOAWAY ? 4 : 0;
    std::uint32_t value = 0;
    for (std::size_t i = at; i < at + 4 && i < payload.size(); ++i)
      value = value << 8 | static_cast<unsigned char>(payload[i]);
    return value;
  }
};

/// A peer that sends what bytes it is given, and sees frames and nothing behind them.
class FrameClient {
 public:
  explicit FrameClient(std::uint16_t port) : client_(port) {}
  bool send(std::string_view bytes) { return client_.send(bytes); }
  /// The next frame; nothing when the connection has ended.
  std::optional<WireFrame> receive() {
    constexpr std::size_t kHead = 9;
    while (in_.size() < kHead || in_.size() < kHead + size()) {
      char bytes[65536];
      const ssize_t got = ::recv(client_.descriptor(), bytes, sizeof bytes, 0);
      if (got <= 0) return std::nullopt;
      in_.append(bytes, static_cast<std::size_t>(got));
    }
    WireFrame frame;
    frame.type = byte(3);
    frame.flags = byte(4);
    for (std::size_t i = 5; i < kHead; ++i) frame.stream = frame.stream << 8 | byte(i);
    frame.payload = in_.substr(kHead, size());
    in_.erase(0, kHead + size());
    return frame;
  }
  /// The next frame of a kind; those before it are forgotten.
  std::optional<WireFrame> receive(std::uint8_t type, std::int32_t stream = 0) {
    for (;;) {
      auto frame = receive();
      if (!frame || (frame->type == type && (stream == 0 || frame->stream == stream))) return frame;
    }
  }
  bool ended() { return client_.ended(); }

 private:
  std::uint8_t byte(std::size_t at) const { return static_cast<std::uint8_t>(in_[at]); }
  std::size_t size() const { return std::size_t{byte(0)} << 16 | std::size_t{byte(1)} << 8 | byte(2); }

  Client client_;
  std::string in_;
};

/// A blocking HTTP/2 client: nghttp2's other side. Bytes go and come only where a call says so.
class Http2Client {
 public:
  struct Reply : WireReply {
    bool interim = false;  ///< 100 Continue has come
    bool closed = false;   ///< the stream is
    std::uint32_t error = 0;
  };

  explicit Http2Client(std::uint16_t port, Http2ClientOptions options = {})
      : Http2Client(std::make_unique<Client>(port), options) {}
  /// Over what is connected already.
  explicit Http2Client(std::unique_ptr<Client> over, Http2ClientOptions options = {}) : client_(std::move(over)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* f, const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* self) {
          Reply& reply = static_cast<Http2Client*>(self)->replies[f->hd.stream_id];
          std::string key(reinterpret_cast<const char*>(name), name_size);
          std::string text(reinterpret_cast<const char*>(value), value_size);
          if (key == ":status" && text == "100") {
            reply.interim = true;
          } else if (key == ":status") {
            reply.status = std::atoi(text.c_str());
          } else {
            reply.headers.emplace_back(std::move(key), std::move(text));
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* self) {
          static_cast<Http2Client*>(self)->replies[id].body.append(reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* f, void* self) {
          Http2Client& client = *static_cast<Http2Client*>(self);
          if (f->hd.stream_id > 0 && (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
            client.replies[f->hd.stream_id].complete = true;
          if (f->hd.type == NGHTTP2_GOAWAY) {
            client.goaway = true;
            client.goaway_error = f->goaway.error_code;
            client.goaway_last = f->goaway.last_stream_id;
          }
          if (f->hd.type == NGHTTP2_SETTINGS && (f->hd.flags & NGHTTP2_FLAG_ACK) == 0) client.settings = true;
          if (f->hd.type == NGHTTP2_PING) ++client.pings;
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, std::int32_t id, std::uint32_t error, void* self) {
          Reply& reply = static_cast<Http2Client*>(self)->replies[id];
          reply.closed = true;
          reply.error = error;
          return 0;
        });
    nghttp2_option* chosen = nullptr;
    nghttp2_option_new(&chosen);
    if (!options.updates) nghttp2_option_set_no_auto_window_update(chosen, 1);
    nghttp2_session_client_new2(&session, callbacks, this, chosen);
    nghttp2_option_del(chosen);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &window, 1);
  }
  Http2Client(const Http2Client&) = delete;
  ~Http2Client() { nghttp2_session_del(session); }

  /// Submits a request; flush() sends it. Without `ends`, more of the body follows by send_body().
  std::int32_t submit(const Fields& fields, std::string body = "", bool ends = true) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields)
      list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
    const bool has_body = !body.empty() || !ends;
    auto& upload = uploads_.emplace_back(std::make_unique<Upload>(Upload{std::move(body), 0, ends}));
    nghttp2_data_provider provider{};
    provider.source.ptr = upload.get();
    provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* out, std::size_t size,
                                std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
      Upload& from = *static_cast<Upload*>(source->ptr);
      const std::size_t taken = from.bytes.copy(reinterpret_cast<char*>(out), size, from.at);
      from.at += taken;
      if (from.at == from.bytes.size() && from.ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (taken == 0 && !from.ends) return NGHTTP2_ERR_DEFERRED;
      return static_cast<ssize_t>(taken);
    };
    const std::int32_t id =
        nghttp2_submit_request(session, nullptr, list.data(), list.size(), has_body ? &provider : nullptr, nullptr);
    by_stream_[id] = upload.get();
    return id;
  }
  std::int32_t get(std::string path) { return submit(request_fields("GET", std::move(path))); }
  std::int32_t post(std::string path, std::string body) {
    Fields fields = request_fields("POST", std::move(path), {{"content-length", std::to_string(body.size())}});
    return submit(fields, std::move(body));
  }
  void send_body(std::int32_t id, std::string_view bytes, bool ends) {
    by_stream_[id]->bytes.append(bytes);
    by_stream_[id]->ends = ends;
    nghttp2_session_resume_data(session, id);
    flush();
  }
  /// Sends what is there to send; false when the server has closed.
  bool flush() {
    std::string out;
    for (;;) {
      const std::uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session, &data);
      if (size <= 0) break;
      out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
    }
    return client_->send(out);
  }
  /// Bytes that nghttp2 knows nothing of.
  bool send_raw(std::string_view bytes) { return flush() && client_->send(bytes); }
  /// Reads and answers until `done` is true; false when the server closes, or nothing comes for too long.
  template <class Done>
  bool until(Done done) {
    while (!done()) {
      (void)flush();  // what the server has said before it closed counts
      if (!done() && !read()) return done();
    }
    flush();
    return true;
  }
  Reply reply(std::int32_t id) {
    until([&] { return replies[id].closed; });
    return replies[id];
  }
  Reply request(const Fields& fields, std::string body = "") { return reply(submit(fields, std::move(body))); }
  /// Nothing more comes, and the connection ends.
  bool ended() {
    while (read()) {
    }
    return over_;
  }
  void close() { client_->close(); }
  void reset() { client_->reset(); }
  Client& raw() { return *client_; }

  nghttp2_session* session = nullptr;
  std::map<std::int32_t, Reply> replies;
  bool goaway = false, settings = false;
  std::uint32_t goaway_error = 0;
  std::int32_t goaway_last = 0;
  int pings = 0;

 private:
  struct Upload {
    std::string bytes;
    std::size_t at;
    bool ends;
  };
  bool read() {
    char bytes[65536];
    const ssize_t got = client_->read(bytes, sizeof bytes);
    if (got <= 0) {
      over_ = !(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
      return false;
    }
    return nghttp2_session_mem_recv(session, reinterpret_cast<const std::uint8_t*>(bytes),
                                    static_cast<std::size_t>(got)) >= 0;
  }

  std::unique_ptr<Client> client_;
  std::vector<std::unique_ptr<Upload>> uploads_;
  std::map<std::int32_t, Upload*> by_stream_;
  bool over_ = false;
};

}  // namespace millrace::test
