#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "millrace/codec/base64.hpp"
#include "millrace/codec/cbor.hpp"

// Requests and replies in AWS's CBOR, as the JSON that says the same: blobs as base64, timestamps as seconds.
namespace millrace::test {

using Json = nlohmann::ordered_json;

inline bool is_timestamp_member(std::string_view name) {
  return name == "Timestamp" || name == "StreamCreationTimestamp";
}

inline void write_cbor(const Json& value, codec::CborWriter& out, std::string_view name = {}) {
  switch (value.type()) {
    case Json::value_t::object:
      out.begin_map(value.size());
      for (const auto& [key, member] : value.items()) {
        out.text(key);
        write_cbor(member, out, key);
      }
      return;
    case Json::value_t::array:
      out.begin_array(value.size());
      for (const Json& item : value) write_cbor(item, out, name);
      return;
    case Json::value_t::string: {
      const std::string text = value.get<std::string>();
      const std::optional<std::string> bytes = name == "Data" ? codec::base64::decode(text) : std::nullopt;
      if (bytes)
        out.bytes(*bytes);
      else
        out.text(text);
      return;
    }
    case Json::value_t::boolean:
      return out.boolean(value.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      if (is_timestamp_member(name)) {
        out.tag(1);
        return out.integer(std::llround(value.get<double>() * 1000));
      }
      if (value.is_number_float()) return out.real(value.get<double>());
      return out.integer(value.get<std::int64_t>());
    default:
      return out.null();
  }
}

inline std::string cbor_of(const Json& value) {
  Buffer out;
  codec::CborWriter writer(out);
  write_cbor(value, writer);
  return std::string(out.view());
}

inline Json read_cbor(codec::CborReader& reader) {
  using codec::CborType;
  std::string_view view;
  std::string scratch;
  codec::CborInteger integer;
  const auto whole = [&] {
    if (!reader.read_integer(integer)) throw std::runtime_error("a timestamp that is no integer");
    const auto magnitude = static_cast<std::int64_t>(integer.magnitude);
    return integer.negative ? -1 - magnitude : magnitude;
  };
  switch (reader.peek()) {
    case CborType::integer:
      return whole();
    case CborType::bytes:
      reader.read_bytes(view, scratch);
      return codec::base64::encode(view);
    case CborType::text:
      reader.read_text(view, scratch);
      return std::string(view);
    case CborType::array: {
      Json out = Json::array();
      reader.begin_array();
      while (reader.next_element()) out.push_back(read_cbor(reader));
      return out;
    }
    case CborType::map: {
      Json out = Json::object();
      reader.begin_map();
      while (reader.next_member(view)) {
        const std::string name(view);
        out[name] = read_cbor(reader);
      }
      return out;
    }
    case CborType::tag: {
      std::uint64_t tag = 0;
      reader.read_tag(tag);
      if (tag != 1) throw std::runtime_error("a tag that is none of AWS's");
      return static_cast<double>(whole()) / 1000.0;
    }
    case CborType::boolean: {
      bool out = false;
      reader.read_bool(out);
      return out;
    }
    case CborType::real: {
      double out = 0;
      reader.read_real(out);
      return out;
    }
    case CborType::null:
      reader.read_null();
      return nullptr;
    case CborType::error:
      break;
  }
  throw std::runtime_error("not CBOR");
}

/// Throws on what is no CBOR, or not AWS's.
inline Json json_of_cbor(std::string_view bytes) {
  codec::CborReader reader(bytes);
  Json out = read_cbor(reader);
  if (!reader.at_end()) throw std::runtime_error("not CBOR");
  return out;
}

}  // namespace millrace::test
