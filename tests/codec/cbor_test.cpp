#include "millrace/codec/cbor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "codec/exact_copy.hpp"

namespace millrace::codec {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char text[64];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

/// What is read, in RFC 8949's diagnostic notation (h'' for bytes).
std::string told(CborReader& reader) {
  std::string scratch;
  std::string_view text;
  CborInteger integer;
  std::uint64_t tag = 0;
  double real = 0;
  bool boolean = false;
  const auto separated = [](std::string& out) {
    if (out.size() > 1) out += ", ";
  };
  switch (reader.peek()) {
    case CborType::integer:
      EXPECT_TRUE(reader.read_integer(integer));
      if (!integer.negative) return std::to_string(integer.magnitude);
      if (integer.magnitude == std::numeric_limits<std::uint64_t>::max()) return "-18446744073709551616";
      return "-" + std::to_string(integer.magnitude + 1);
    case CborType::bytes: {
      if (!reader.read_bytes(text, scratch)) return "error";
      std::string out = "h'";
      for (const char c : text) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
        out += digits;
      }
      return out + "'";
    }
    case CborType::text:
      if (!reader.read_text(text, scratch)) return "error";
      return "\"" + std::string(text) + "\"";
    case CborType::array: {
      std::string out = "[";
      if (!reader.begin_array()) return "error";
      while (reader.next_element()) {
        separated(out);
        out += told(reader);
      }
      return reader.failed() ? "error" : out + "]";
    }
    case CborType::map: {
      std::string out = "{";
      if (!reader.begin_map()) return "error";
      while (reader.next_member(text)) {
        separated(out);
        out += "\"" + std::string(text) + "\": ";
        out += told(reader);
      }
      return reader.failed() ? "error" : out + "}";
    }
    case CborType::tag:
      EXPECT_TRUE(reader.read_tag(tag));
      return std::to_string(tag) + "(" + told(reader) + ")";
    case CborType::boolean:
      EXPECT_TRUE(reader.read_bool(boolean));
      return boolean ? "true" : "false";
    case CborType::null:
      EXPECT_TRUE(reader.read_null());
      return "null";
    case CborType::real:
      EXPECT_TRUE(reader.read_real(real));
      return number_text(real);
    case CborType::error:
      return "error";
  }
  return "error";
}

struct Example {
  const char* hex;
  const char* means;
};

// RFC 8949, appendix A, and lengths that are longer than they need be.
const Example kExamples[] = {
    {"00", "0"},
    {"17", "23"},
    {"1818", "24"},
    {"1903e8", "1000"},
    {"1a000f4240", "1000000"},
    {"1b000000e8d4a51000", "1000000000000"},
    {"1bffffffffffffffff", "18446744073709551615"},
    {"3bffffffffffffffff", "-18446744073709551616"},
    {"20", "-1"},
    {"3903e7", "-1000"},
    {"1b0000000000000001", "1"},
    {"f90000", "0"},
    {"f98000", "-0"},
    {"f93c00", "1"},
    {"fb3ff199999999999a", "1.1000000000000001"},
    {"f97bff", "65504"},
    {"fa47c35000", "100000"},
    {"fa7f7fffff", "3.4028234663852886e+38"},
    {"fb7e37e43c8800759c", "1.0000000000000001e+300"},
    {"f90001", "5.9604644775390625e-08"},
    {"f90400", "6.103515625e-05"},
    {"f9c400", "-4"},
    {"f97c00", "Infinity"},
    {"f97e00", "NaN"},
    {"f9fc00", "-Infinity"},
    {"fa7f800000", "Infinity"},
    {"fb7ff8000000000000", "NaN"},
    {"f4", "false"},
    {"f5", "true"},
    {"f6", "null"},
    {"f7", "null"},
    {"c11a514b67b0", "1(1363896240)"},
    {"d74401020304", "23(h'01020304')"},
    {"d82076687474703a2f2f7777772e6578616d706c652e636f6d", "32(\"http://www.example.com\")"},
    {"40", "h''"},
    {"4401020304", "h'01020304'"},
    {"60", "\"\""},
    {"6449455446", "\"IETF\""},
    {"62c3bc", "\"\xc3\xbc\""},
    {"64f0908591", "\"\xf0\x90\x85\x91\""},
    {"80", "[]"},
    {"8301820203820405", "[1, [2, 3], [4, 5]]"},
    {"98190102030405060708090a0b0c0d0e0f101112131415161718181819",
     "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]"},
    {"a0", "{}"},
    {"a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}"},
    {"826161a161626163", "[\"a\", {\"b\": \"c\"}]"},
    {"5f42010243030405ff", "h'0102030405'"},
    {"7f657374726561646d696e67ff", "\"streaming\""},
    {"5fff", "h''"},
    {"9fff", "[]"},
    {"9f018202039f0405ffff", "[1, [2, 3], [4, 5]]"},
    {"83018202039f0405ff", "[1, [2, 3], [4, 5]]"},
    {"bf61610161629f0203ffff", "{\"a\": 1, \"b\": [2, 3]}"},
    {"bf6346756ef563416d7421ff", "{\"Fun\": true, \"Amt\": -2}"},
    {"bf7f614662616eff01ff", "{\"Fan\": 1}"},
};

TEST(CborReader, TellsWhatIsThere) {
  for (const Example& example : kExamples) {
    SCOPED_TRACE(example.hex);
    const std::string bytes = from_hex(example.hex);
    CborReader reader(bytes);
    EXPECT_EQ(told(reader), example.means);
    EXPECT_TRUE(reader.at_end());
    CborReader skipper(bytes);
    EXPECT_EQ(skipper.skip_value(), bytes);
    EXPECT_TRUE(skipper.at_end());
  }
}

TEST(CborReader, EveryBeginningOfAValueIsAnError) {
  for (const Example& example : kExamples) {
    const std::string bytes = from_hex(example.hex);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      SCOPED_TRACE(std::string(example.hex) + " " + std::to_string(size));
      const ExactCopy copy(std::string_view(bytes).substr(0, size));
      CborReader reader(copy.view());
      (void)told(reader);
      EXPECT_FALSE(reader.at_end());
      CborReader skipper(copy.view());
      EXPECT_EQ(skipper.skip_value(), "");
      EXPECT_TRUE(skipper.failed());
    }
  }
}

TEST(CborReader, WhatIsNotCborIsAnError) {
  for (const char* hex : {
           "1c",
           "1d",
           "1e",
           "1f",
           "3c",
           "3f",
           "5c",
           "7e",
           "9c",
           "bd",
           "dc",
           "df",  // no such lengths
           "ff",  // a break of nothing
           "81ff",
           "a1ff",
           "a16161ff",
           "bf6161ff",  // where a value must be
           "c1ff",
           "9fc1ff",  // a tag of nothing
           "5f01ff",
           "5f6161ff",
           "7f4161ff",
           "5f5f4100ffff",
           "7f7f6161ffff",  // pieces of another kind
           "61ff",
           "62c328",
           "7f61c361bcff",  // not UTF-8, in each piece
           "a10102",
           "bf01f5ff",
           "a1f6f6",  // keys that are no texts
           "f0",
           "f8ff",
           "f818",
           "fc",  // simple values that mean nothing
           "9bffffffffffffffff",
           "bbffffffffffffffff",
           "5bffffffffffffffff",
           "7b7fffffffffffffff",
           "9a00ffffff00",
       }) {
    SCOPED_TRACE(hex);
    const std::string bytes = from_hex(hex);
    CborReader reader(bytes);
    (void)told(reader);
    EXPECT_TRUE(reader.failed());
    EXPECT_FALSE(reader.at_end());
    CborReader skipper(bytes);
    EXPECT_EQ(skipper.skip_value(), "");
    EXPECT_TRUE(skipper.failed());
  }
}

TEST(CborReader, NestsSoFarAndNoFurther) {
  for (const bool maps : {false, true}) {
    const auto nested = [&](std::size_t depth) {
      std::string bytes;
      for (std::size_t i = 0; i < depth; ++i) bytes += maps ? "\xbf\x60" : "\x9f";
      return bytes + '\0' + std::string(depth, '\xff');
    };
    const std::string deep = nested(CborReader::kDepthMax), deeper = nested(CborReader::kDepthMax + 1);
    CborReader whole(deep), refused(deeper);
    EXPECT_EQ(whole.skip_value(), deep);
    EXPECT_EQ(refused.skip_value(), "");
  }
  // Tags cost nothing.
  const std::string tags = std::string(100'000, '\xc1') + '\x00';
  CborReader reader(tags);
  EXPECT_EQ(reader.skip_value(), tags);
}

TEST(CborReader, AWrongTypeTakesNothingMore) {
  const std::string bytes = from_hex("8261610a");
  CborReader reader(bytes);
  ASSERT_TRUE(reader.begin_array());
  ASSERT_TRUE(reader.next_element());
  CborInteger integer;
  EXPECT_FALSE(reader.read_integer(integer));
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.error_offset(), 1u);
  EXPECT_EQ(reader.peek(), CborType::error);
  EXPECT_FALSE(reader.next_element());
}

TEST(CborReader, GivesViewsWhereThereIsOnePiece) {
  const std::string bytes = from_hex("4401020304");
  CborReader reader(bytes);
  std::string scratch;
  std::string_view view;
  ASSERT_TRUE(reader.read_bytes(view, scratch));
  EXPECT_EQ(view.data(), bytes.data() + 1);
  EXPECT_TRUE(scratch.empty());
}

TEST(CborWriter, WritesTheShortestHeads) {
  Buffer out;
  CborWriter writer(out);
  const auto written = [&](const auto& write) {
    out.clear();
    write();
    std::string hex;
    for (const char c : out.view()) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
      hex += digits;
    }
    return hex;
  };
  const std::pair<std::int64_t, const char*> integers[] = {
      {0, "00"},
      {23, "17"},
      {24, "1818"},
      {255, "18ff"},
      {256, "190100"},
      {65535, "19ffff"},
      {65536, "1a00010000"},
      {4294967295, "1affffffff"},
      {4294967296, "1b0000000100000000"},
      {std::numeric_limits<std::int64_t>::max(), "1b7fffffffffffffff"},
      {-1, "20"},
      {-24, "37"},
      {-25, "3818"},
      {std::numeric_limits<std::int64_t>::min(), "3b7fffffffffffffff"}};
  for (const auto& [value, hex] : integers) EXPECT_EQ(written([&, v = value] { writer.integer(v); }), hex) << value;
  EXPECT_EQ(written([&] { writer.text("IETF"); }), "6449455446");
  EXPECT_EQ(written([&] { writer.bytes(std::string(24, '\0')); }), "5818" + std::string(48, '0'));
  EXPECT_EQ(written([&] { writer.boolean(false); }), "f4");
  EXPECT_EQ(written([&] { writer.boolean(true); }), "f5");
  EXPECT_EQ(written([&] { writer.null(); }), "f6");
  EXPECT_EQ(written([&] { writer.real(1.1); }), "fb3ff199999999999a");
  EXPECT_EQ(written([&] {
              writer.tag(1);
              writer.integer(1363896240);
            }),
            "c11a514b67b0");
  EXPECT_EQ(written([&] {
              writer.begin_map(2);
              writer.text("a");
              writer.integer(1);
              writer.text("b");
              writer.begin_array(2);
              writer.integer(2);
              writer.integer(3);
            }),
            "a26161016162820203");
}

}  // namespace
}  // namespace millrace::codec
