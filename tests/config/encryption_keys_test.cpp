#include "millrace/config/encryption_keys.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "config/support.hpp"
#include "millrace/codec/base64.hpp"

namespace millrace::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// 32 bytes of one value.
std::string key(char byte) { return codec::base64::encode(std::string(32, byte)); }
journal::Keys::Key bytes(char byte) {
  journal::Keys::Key key;
  key.fill(static_cast<std::byte>(byte));
  return key;
}

class EncryptionKeyFile : public ConfigFile {
 protected:
  static std::filesystem::path keys(std::string_view text) {
    const auto path = write(text, "keys");
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  static std::string wrong(std::string_view text) {
    const auto read = read_encryption_keys(keys(text), true);
    return read ? "no error" : read.error().detail;
  }
};

TEST_F(EncryptionKeyFile, TheHighestIdSealsAndTheOthersOpen) {
  const auto read = read_encryption_keys(
      keys("# kept by ops\n\n10 " + key('b') + "   # since May\r\n  9\t" + key('a') + "\n4294967295 " + key('c')),
      true);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_THAT(read->warnings, IsEmpty());
  EXPECT_EQ(read->keys->current(), 4294967295u);
  EXPECT_EQ(read->keys->key(9), bytes('a'));
  EXPECT_EQ(read->keys->key(10), bytes('b'));
  EXPECT_EQ(read->keys->key(4294967295), bytes('c'));
  EXPECT_EQ(read->keys->key(1), std::nullopt);
  EXPECT_EQ(read->keys->key(0), std::nullopt);
}

TEST_F(EncryptionKeyFile, WithoutSealingKeysOnlyOpen) {
  const auto read = read_encryption_keys(keys("3 " + key('a')), false);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->keys->current(), 0u);
  EXPECT_EQ(read->keys->key(3), bytes('a'));
}

TEST_F(EncryptionKeyFile, EveryMistakeNamesItsLineAndWhatWouldBeRight) {
  const std::string id = " must begin with the key's id: a whole number from 1 to 4294967295";
  for (const char* wrong_id : {"0", "-1", "+1", "4294967296", "1.5", "one", "99999999999999999999"})
    EXPECT_EQ(wrong(std::string(wrong_id) + " " + key('a')), "keys:1:" + id) << wrong_id;
  EXPECT_EQ(wrong(key('a')), "keys:1:" + id);
  EXPECT_EQ(wrong("\n1\n"), "keys:2: key 1 has an id only: write `<id> <key>`; `openssl rand -base64 32` makes one");
  EXPECT_EQ(wrong("1 " + key('a') + " 2 " + key('b')),
            "keys:1: key 1 is followed by something else: write `<id> <key>`, a line for each key");
  EXPECT_EQ(wrong("1 " + key('a') + "\n#\n1 " + key('b')),
            "keys:3: key 1 is given twice, first in line 1: give the newer one a higher id");
  EXPECT_EQ(wrong("1 " + key('a') + "\n2 " + key('a')),
            "keys:2: key 2 is the same as key 1: a new id needs a new key; `openssl rand -base64 32` makes one");
  const std::string cut = key('a').substr(0, 43);
  for (const std::string& wrong_text : {cut, "_" + cut, key('a') + "=", std::string("key")})
    EXPECT_EQ(wrong("7 " + wrong_text), "keys:1: key 7 is not base64: `openssl rand -base64 32` makes one");
  EXPECT_EQ(wrong("7 " + codec::base64::encode(std::string(16, 'a'))),
            "keys:1: key 7 has 16 bytes, and must have 32: `openssl rand -base64 32` makes one");
  for (const char* none : {"", "\n\n", "# 1 nothing\n"})
    EXPECT_EQ(wrong(none), "keys: holds no key: write a line `<id> <key>`; `openssl rand -base64 32` makes one");
  EXPECT_EQ(wrong("x\n1\n2"),
            "keys:1:" + id +
                "\nkeys:2: key 1 has an id only: write `<id> <key>`; `openssl rand -base64 32` makes one"
                "\nkeys:3: key 2 has an id only: write `<id> <key>`; `openssl rand -base64 32` makes one");
}

TEST_F(EncryptionKeyFile, NoMistakeTellsAKey) {
  const std::string secret = key('a'), part = secret.substr(4, 12);
  const std::vector<std::string> texts{secret,
                                       secret + " 1",
                                       "1" + secret,
                                       "1 " + secret + secret,
                                       "1 " + secret.substr(0, 40),
                                       "1 " + secret + " " + secret,
                                       "1 " + secret + "\n1 " + secret,
                                       "1 " + secret + "\n2 " + secret,
                                       "1=" + secret,
                                       "\"1\": " + secret};
  for (const std::string& text : texts) {
    EXPECT_THAT(wrong(text), Not(HasSubstr(part))) << text;
    EXPECT_THAT(wrong(text), Not("no error")) << text;
  }
  // Where a path belongs.
  for (const std::string& text :
       {secret, "1 " + secret, secret + secret + secret + secret + secret + secret + secret}) {
    EXPECT_THAT(error("storage:\n  encryption_keys: \"" + text + "\"\n"), Not(HasSubstr(part)));
    const auto refused = load(std::nullopt, {{"MILLRACE_STORAGE_ENCRYPTION_KEYS", text}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().detail,
              "environment: MILLRACE_STORAGE_ENCRYPTION_KEYS (storage.encryption_keys): holds a key, where the path of "
              "a file with keys belongs: write a path, or give the text in MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT");
  }
}

TEST_F(EncryptionKeyFile, ThatEverybodyMayReadIsWarnedOf) {
  const auto path = keys("1 " + key('a'));
  std::filesystem::permissions(path, std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  EXPECT_THAT(read_encryption_keys(path, true)->warnings, IsEmpty()) << "a group may";
  std::filesystem::permissions(path, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  EXPECT_THAT(read_encryption_keys(path, true)->warnings,
              ElementsAre("keys: everybody on this machine may read the keys: `chmod 600` it"));
  std::filesystem::permissions(path, std::filesystem::perms::others_write, std::filesystem::perm_options::add);
  EXPECT_THAT(read_encryption_keys(path, true)->warnings,
              ElementsAre("keys: everybody on this machine may change the keys: `chmod 600` it"));
}

TEST_F(EncryptionKeyFile, ADirectoryIsRefused) {
  std::filesystem::create_directory("keys.d");
  const auto refused = read_encryption_keys("keys.d", true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().detail,
      "keys.d: is a directory, not a file: it is to hold the keys of storage.encryption, a line `<id> <key>` each");
}

TEST_F(EncryptionKeyFile, APipeIsReadAndOneThatNobodyWritesToIsNotWaitedForForever) {
  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  const auto refused = read_encryption_keys("pipe", true, std::chrono::milliseconds{0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().detail,
      "pipe: is a pipe that nothing comes out of: it is to hold the keys of storage.encryption, a line `<id> <key>` "
      "each");
  // A pipe that has its writer, as a shell's <(command) gives it.
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const std::string text = "1 " + key('a') + "\n";
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  const std::filesystem::path path = "/dev/fd/" + std::to_string(ends[0]);
  EXPECT_FALSE(read_encryption_keys(path, true, std::chrono::milliseconds{0})) << "it may not be all yet";
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(ends[1]);
  const auto read = read_encryption_keys(path, true);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->keys->key(1), bytes('a'));
  EXPECT_THAT(read->warnings, IsEmpty());
  ::close(ends[0]);
}

TEST_F(EncryptionKeyFile, ComesFromTheConfigFileBesideIt) {
  std::filesystem::create_directory("etc");
  write("2 " + key('a'), "etc/keys");
  const auto path = write("storage: {encryption: all, encryption_keys: keys}\n", "etc/millrace.yaml");
  const auto result = load(path, {});
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_EQ(result->config.keys->current(), 2u);
  EXPECT_EQ(result->warnings.size(), 1u);
  // What the environment names is where the daemon is.
  write("3 " + key('a'), "keys");
  EXPECT_EQ(load(path, {{"MILLRACE_STORAGE_ENCRYPTION_KEYS", "keys"}})->config.keys->current(), 3u);
}

TEST_F(EncryptionKeyFile, OrTheEnvironmentHoldsTheText) {
  const auto with = [](const std::string& text, const std::string& encryption = "all") {
    return load(std::nullopt, {{"MILLRACE_STORAGE_ENCRYPTION", encryption}, {std::string(kKeysVariable), text}});
  };
  auto result = with("1 " + key('a') + "\n2 " + key('b'));
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_THAT(result->warnings, IsEmpty());
  EXPECT_EQ(result->config.keys->current(), 2u);
  EXPECT_EQ(with("1 " + key('a') + ",2 " + key('b'))->config.keys->current(), 2u);
  EXPECT_EQ(with("1 " + key('a'), "none")->config.keys->current(), 0u);
  EXPECT_EQ(with("1 " + key('a') + ", x").error().detail,
            "environment: MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT:2: must begin with the key's id: a whole number from 1 "
            "to 4294967295");
}

TEST_F(EncryptionKeyFile, IsNeededWhereAllIsToBeSealed) {
  const std::string told =
      "storage.encryption: 'all' needs a key: write `1 ` and what `openssl rand -base64 32` prints into a file that "
      "only the daemon can read, and name that in storage.encryption_keys";
  EXPECT_EQ(error("storage:\n  encryption: all\n"), "millrace.yaml:2: " + told);
  EXPECT_EQ(error("storage:\n  encryption: all\n", {{std::string(kKeysVariable), ""}}), "millrace.yaml:2: " + told);
  EXPECT_EQ(error("storage:\n  encryption: all\n  encryption_keys: nowhere\n"),
            "nowhere: there is no such file: it is to hold the keys of storage.encryption, a line `<id> <key>` each");
  EXPECT_EQ(error("storage:\n  encryption_keys: .\n"),
            ".: is a directory, not a file: it is to hold the keys of storage.encryption, a line `<id> <key>` each");
  keys("1 " + key('a'));
  EXPECT_EQ(
      error("storage:\n  encryption_keys: keys\n", {{std::string(kKeysVariable), "1 " + key('a')}}),
      "millrace.yaml:2: storage.encryption_keys: is given beside MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT: leave one "
      "of them out");
}

}  // namespace
}  // namespace millrace::config
