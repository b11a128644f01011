#pragma once
#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>

namespace millrace::net {

/// What nghttp2 calls; `user` is the Http2Session.
struct Http2Callbacks {
  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user);
  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t flags, void* user);
  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user);
  static int data_chunk(nghttp2_session*, std::uint8_t flags, std::int32_t id, const std::uint8_t* data,
                        std::size_t size, void* user);
  static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user);
  /// How many bytes the next DATA frame of a reply takes. Nothing is copied to `out`: send_data() does.
  static ssize_t read_data(nghttp2_session*, std::int32_t id, std::uint8_t* out, std::size_t size, std::uint32_t* flags,
                           nghttp2_data_source* source, void* user);
  static int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head, std::size_t size,
                       nghttp2_data_source* source, void* user);

  static const nghttp2_session_callbacks* table();
  static const nghttp2_option* options();
};

}  // namespace millrace::net
