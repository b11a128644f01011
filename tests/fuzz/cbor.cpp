// The CBOR reader against libcbor: what is taken, how far it reads, and the events of the walk. The input is the bytes.
#include "millrace/codec/cbor.hpp"

#include <cbor.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <string>

#include "codec/exact_copy.hpp"
#include "fuzz/events.hpp"
#include "fuzz/fuzz.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::codec {
namespace {

using fuzz::Events, fuzz::require;

void tell_number(char kind, std::uint64_t value, Events& events) { events.number(kind, std::to_string(value)); }
void tell_real(double value, Events& events) {
  tell_number('r', std::isnan(value) ? 1 : std::bit_cast<std::uint64_t>(value), events);
}

struct Theirs {
  Events events;
  std::size_t read = 0;
  bool ours_too = true;  ///< nothing in it that is CBOR and not AWS's: keys that are no texts, simple values, bad UTF-8
};

std::string bytes_of(const cbor_item_t* item) {
  if (cbor_bytestring_is_definite(item))
    return {reinterpret_cast<const char*>(cbor_bytestring_handle(item)), cbor_bytestring_length(item)};
  std::string out;
  for (std::size_t i = 0; i < cbor_bytestring_chunk_count(item); ++i)
    out += bytes_of(cbor_bytestring_chunks_handle(item)[i]);
  return out;
}

std::string text_of(const cbor_item_t* item, Theirs& out) {
  std::string text;
  if (cbor_string_is_definite(item)) {
    if (cbor_string_length(item) > 0)
      text.assign(reinterpret_cast<const char*>(cbor_string_handle(item)), cbor_string_length(item));
    if (!valid_utf8(text)) out.ours_too = false;
    return text;
  }
  for (std::size_t i = 0; i < cbor_string_chunk_count(item); ++i)
    text += text_of(cbor_string_chunks_handle(item)[i], out);
  return text;
}

void tell(const cbor_item_t* item, std::size_t depth, Theirs& out) {
  switch (cbor_typeof(item)) {
    case CBOR_TYPE_UINT:
      return tell_number('+', cbor_get_int(item), out.events);
    case CBOR_TYPE_NEGINT:
      return tell_number('-', cbor_get_int(item), out.events);
    case CBOR_TYPE_BYTESTRING:
      return out.events.string('b', bytes_of(item));
    case CBOR_TYPE_STRING: {
      const std::string text = text_of(item, out);
      return out.events.string('"', text);
    }
    case CBOR_TYPE_ARRAY:
      if (depth == CborReader::kDepthMax) out.ours_too = false;
      out.events.mark('[');
      for (std::size_t i = 0; i < cbor_array_size(item); ++i) tell(cbor_array_handle(item)[i], depth + 1, out);
      return out.events.mark(']');
    case CBOR_TYPE_MAP:
      if (depth == CborReader::kDepthMax) out.ours_too = false;
      out.events.mark('{');
      for (std::size_t i = 0; i < cbor_map_size(item); ++i) {
        const cbor_pair& pair = cbor_map_handle(item)[i];
        if (cbor_typeof(pair.key) == CBOR_TYPE_STRING) {
          out.events.string('k', text_of(pair.key, out));
        } else {
          out.ours_too = false;
        }
        tell(pair.value, depth + 1, out);
      }
      return out.events.mark('}');
    case CBOR_TYPE_TAG:
      tell_number('t', cbor_tag_value(item), out.events);
      {
        cbor_item_t* inner = cbor_tag_item(item);  // one reference more
        tell(inner, depth, out);
        cbor_decref(&inner);
      }
      return;
    case CBOR_TYPE_FLOAT_CTRL:
      if (cbor_float_ctrl_is_ctrl(item)) {
        switch (cbor_ctrl_value(item)) {
          case CBOR_CTRL_FALSE:
            return out.events.mark('f');
          case CBOR_CTRL_TRUE:
            return out.events.mark('T');
          case CBOR_CTRL_NULL:
          case CBOR_CTRL_UNDEF:
            return out.events.mark('n');
          default:
            out.ours_too = false;
            return;
        }
      }
      return tell_real(cbor_float_get_float(item), out.events);
  }
}

/// Whether a container says that it has more items than there are bytes: libcbor makes room for them before it looks.
bool claims_too_much(std::string_view bytes) {
  std::uint64_t largest = 0;
  cbor_callbacks callbacks = cbor_empty_callbacks;
  callbacks.array_start = callbacks.map_start = [](void* most, std::uint64_t items) {
    auto& known = *static_cast<std::uint64_t*>(most);
    known = std::max(known, items);
  };
  for (std::string_view rest = bytes; !rest.empty();) {
    const cbor_decoder_result taken =
        cbor_stream_decode(reinterpret_cast<cbor_data>(rest.data()), rest.size(), &callbacks, &largest);
    if (taken.status != CBOR_DECODER_FINISHED) break;
    rest.remove_prefix(taken.read);
  }
  return largest > bytes.size();
}

/// @param beyond  set when libcbor has no room for it: it nests deeper, or says to be longer, than libcbor takes
std::optional<Theirs> listened(std::string_view bytes, bool& beyond) {
  cbor_load_result result{};
  cbor_item_t* item = cbor_load(reinterpret_cast<cbor_data>(bytes.data()), bytes.size(), &result);
  beyond = !item && result.error.code == CBOR_ERR_MEMERROR;
  if (!item) return std::nullopt;
  Theirs out;
  out.read = result.read;
  tell(item, 0, out);
  cbor_decref(&item);
  return out;
}

/// Short tags that nobody has assigned, which libcbor 0.8 refuses.
bool met_unassigned = false;
bool unassigned(std::uint64_t tag) { return tag >= 6 && tag <= 20; }

/// Walks one value with the typed calls; `skip` makes it step over some values at once and walk their bytes apart.
bool walk(CborReader& reader, Events& events, bool skip) {
  if (skip && reader.error_offset() % 3 == 0) {
    const std::string_view bytes = reader.skip_value();
    if (reader.failed()) return false;
    CborReader inner(bytes);
    require(walk(inner, events, false) && inner.at_end(), "what was stepped over is one value");
    return true;
  }
  std::string_view view;
  std::string scratch;
  switch (reader.peek()) {
    case CborType::integer: {
      CborInteger value;
      if (!reader.read_integer(value)) return false;
      tell_number(value.negative ? '-' : '+', value.magnitude, events);
      return true;
    }
    case CborType::bytes:
      if (!reader.read_bytes(view, scratch)) return false;
      events.string('b', view);
      return true;
    case CborType::text:
      if (!reader.read_text(view, scratch)) return false;
      events.string('"', view);
      return true;
    case CborType::array:
      if (!reader.begin_array()) return false;
      events.mark('[');
      while (reader.next_element())
        if (!walk(reader, events, skip)) return false;
      events.mark(']');
      return !reader.failed();
    case CborType::map:
      if (!reader.begin_map()) return false;
      events.mark('{');
      while (reader.next_member(view)) {
        events.string('k', view);
        if (!walk(reader, events, skip)) return false;
      }
      events.mark('}');
      return !reader.failed();
    case CborType::tag: {
      std::uint64_t number = 0;
      while (reader.peek() == CborType::tag) {
        if (!reader.read_tag(number)) return false;
        if (unassigned(number)) met_unassigned = true;
        tell_number('t', number, events);
      }
      return walk(reader, events, false);
    }
    case CborType::boolean: {
      bool value = false;
      if (!reader.read_bool(value)) return false;
      events.mark(value ? 'T' : 'f');
      return true;
    }
    case CborType::null:
      if (!reader.read_null()) return false;
      events.mark('n');
      return true;
    case CborType::real: {
      double value = 0;
      if (!reader.read_real(value)) return false;
      tell_real(value, events);
      return true;
    }
    case CborType::error:
      return false;
  }
  return false;
}

struct Ours {
  Events events;
  std::size_t read = 0;
};

std::optional<Ours> walked(std::string_view bytes, bool skip) {
  CborReader reader(bytes);
  Ours ours;
  const bool good = walk(reader, ours.events, skip);
  require(good != reader.failed(), "a walk to the end has not failed, any other has");
  ours.read = reader.error_offset();
  require(ours.read <= bytes.size(), "an error lies in the bytes");
  if (!good) return std::nullopt;
  return ours;
}

void check(std::string_view bytes) {
  const ExactCopy copy(bytes);
  met_unassigned = false;
  const std::optional<Ours> ours = walked(copy.view(), false);
  const std::optional<Ours> stepping = walked(copy.view(), true);
  require(ours.has_value() == stepping.has_value(), "stepping over values changes nothing");
  if (ours) require(ours->events == stepping->events && ours->read == stepping->read, "stepping meets the same");
  if (met_unassigned || (!ours && claims_too_much(copy.view()))) return;
  bool beyond = false;
  const std::optional<Theirs> theirs = listened(copy.view(), beyond);
  if (beyond) return;
  require(ours.has_value() == (theirs && theirs->ours_too), "libcbor takes the same");
  if (ours) require(ours->events == theirs->events && ours->read == theirs->read, "libcbor reads the same");
}

}  // namespace
}  // namespace millrace::codec

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::codec::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
