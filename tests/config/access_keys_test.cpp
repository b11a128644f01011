#include "millrace/config/access_keys.hpp"

#include <gmock/gmock.h>

#include "config/support.hpp"

namespace millrace::config {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class AccessKeyFile : public ConfigFile {
 protected:
  static std::filesystem::path file(std::string_view text, const char* name = "credentials") {
    const auto path = write(text, name);
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  static std::string wrong(std::string_view text) {
    const auto read = read_access_keys(file(text));
    return read ? "no error" : read.error().detail;
  }
};

constexpr const char* kOne = "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = wJalr/K7+=E\n";

TEST_F(AccessKeyFile, IsReadAsTheAwsToolsWriteIt) {
  const auto read = read_access_keys(file(std::string("# mine\r\n; too\n\n") + kOne +
                                          "region = eu-west-1\ns3 =\n  aws_access_key_id = not this\n[empty]\n"
                                          "[profile other]\naws_secret_access_key=b\naws_access_key_id=B\r\n"));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_THAT(read->warnings, IsEmpty());
  ASSERT_EQ(read->keys.size(), 2u);
  EXPECT_EQ(read->keys[0].id, "AKIDEXAMPLE");
  EXPECT_EQ(read->keys[0].secret, "wJalr/K7+=E");
  EXPECT_EQ(read->keys[1].id, "B");
  EXPECT_EQ(read->keys[1].secret, "b");
}

TEST_F(AccessKeyFile, AKeyMaySayWhoseItIs) {
  const auto read =
      read_access_keys(file(std::string(kOne) + "aws_account_id = 111122223333\n"
                                                "[b]\naws_access_key_id = 444455556666\naws_secret_access_key = b\n"
                                                "[c]\naws_access_key_id = C\naws_secret_access_key = c\n"));
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->keys[0].account, "111122223333");
  EXPECT_EQ(read->keys[1].account, "444455556666");
  EXPECT_EQ(read->keys[2].account, "");
  EXPECT_EQ(wrong(std::string(kOne) + "aws_account_id = 1\n"),
            "credentials:4: aws_account_id is not an account: write twelve digits");
}

TEST_F(AccessKeyFile, EachMistakeIsToldByItsLine) {
  EXPECT_EQ(wrong(""),
            "credentials: holds no access key: write a section with aws_access_key_id and aws_secret_access_key");
  EXPECT_EQ(wrong("aws_access_key_id = A\n"),
            "credentials:1: stands before the first section: write `[default]` above it");
  EXPECT_EQ(wrong("[default\n"), "credentials:1: begins a section and does not end it: write its name as `[name]`");
  EXPECT_EQ(wrong("[a]\nAKIDEXAMPLE\n"),
            "credentials:2: is neither a section such as [default] nor a setting such as `aws_access_key_id = ...`");
  EXPECT_EQ(wrong("[a]\naws_access_key_id = A\n"),
            "credentials:1: section [a] has no aws_secret_access_key beside the other");
  EXPECT_EQ(wrong("[a]\naws_secret_access_key = A\n"),
            "credentials:1: section [a] has no aws_access_key_id beside the other");
  EXPECT_EQ(wrong("[a]\naws_access_key_id = A\naws_access_key_id = B\naws_secret_access_key = c\n"),
            "credentials:3: aws_access_key_id is given twice in this section");
  EXPECT_EQ(wrong(std::string(kOne) + "[b]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = c\n"),
            "credentials:4: section [b] has the access key id of the section in line 1");
  EXPECT_EQ(wrong("[a]\naws_access_key_id =\naws_secret_access_key = c\n"),
            "credentials:1: section [a] has no aws_access_key_id beside the other\n"
            "credentials:2: aws_access_key_id is empty");
  EXPECT_EQ(wrong("[a]\naws_access_key_id = a/b\naws_secret_access_key = c\n").substr(0, 60),
            "credentials:1: section [a] has no aws_access_key_id beside t");
  EXPECT_EQ(wrong(std::string(kOne) + "aws_session_token = t\n"),
            "credentials:4: is of credentials that were given for a time: name keys that last");
  EXPECT_THAT(wrong("[a]\nwJalrXUtnFEMI\n"), Not(HasSubstr("wJalr"))) << "it may be a secret";
}

TEST_F(AccessKeyFile, WhatEverybodyMayReadIsWarnedOf) {
  const auto path = file(kOne);
  std::filesystem::permissions(path, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  EXPECT_THAT(read_access_keys(path)->warnings,
              testing::ElementsAre("credentials: everybody on this machine may read the access keys: `chmod 600` it"));
}

TEST_F(AccessKeyFile, MakesSignaturesLookedAtUnlessSaidOtherwise) {
  EXPECT_EQ(load(write(""), {})->config.auth_mode, "presence");
  std::filesystem::create_directory("etc");
  file(kOne, "etc/credentials");
  const auto loaded = load(write("auth: {credentials: credentials}\n", "etc/millrace.yaml"), {});
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_EQ(loaded->config.auth_mode, "verify");
  EXPECT_EQ(loaded->config.access_keys.size(), 1u);
  EXPECT_EQ(error("auth:\n  mode: verify\n"),
            "millrace.yaml:2: auth.mode: 'verify' needs auth.credentials: name the file with the keys that may sign");
  EXPECT_EQ(error("auth:\n  mode: ignore\n  credentials: etc/credentials\n"),
            "millrace.yaml:3: auth.credentials: is given, and auth.mode ignore looks at none: leave one of them out");
  EXPECT_EQ(error("auth:\n  credentials: none\n"),
            "none: there is no such file: it is to hold access keys, as ~/.aws/credentials does");
}

}  // namespace
}  // namespace millrace::config
