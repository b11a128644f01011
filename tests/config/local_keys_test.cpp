#include "millrace/config/local_keys.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "config/support.hpp"
#include "millrace/base/random.hpp"
#include "millrace/config/encryption_keys.hpp"

namespace millrace::config {
namespace {

class LocalKeyFile : public ConfigFile {
 protected:
  std::unique_ptr<Random> random_ = make_seeded_random(1);
};

TEST_F(LocalKeyFile, IsMadeWhenItIsNeededForItsOwnerAlone) {
  const auto keys = *local_keys("local-key");
  EXPECT_EQ(keys->newest(), 0u);
  EXPECT_FALSE(std::filesystem::exists("local-key"));
  ASSERT_TRUE(keys->prepare(*random_));
  EXPECT_EQ(keys->newest(), 1u);
  EXPECT_EQ(keys->current(), 0u) << "it seals what asks for it only";
  ASSERT_TRUE(keys->key(1));
  EXPECT_FALSE(keys->key(2));
  struct stat status {};
  ASSERT_EQ(::stat("local-key", &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(LocalKeyFile, IsReadByLaterStartsAndAsAFileOfKeys) {
  const auto first = *local_keys("local-key");
  ASSERT_TRUE(first->prepare(*random_));
  const auto second = *local_keys("local-key");
  EXPECT_EQ(second->newest(), 1u);
  EXPECT_EQ(second->key(1), first->key(1));
  ASSERT_TRUE(second->prepare(*random_));
  EXPECT_EQ(second->key(1), first->key(1)) << "it is not made twice";
  const auto given = read_encryption_keys("local-key", true);
  ASSERT_TRUE(given);
  EXPECT_EQ(given->keys->key(1), first->key(1));
}

TEST_F(LocalKeyFile, WithoutAFileItIsInMemory) {
  const auto keys = *local_keys({});
  ASSERT_TRUE(keys->prepare(*random_));
  const auto key = keys->key(keys->newest());
  ASSERT_TRUE(keys->prepare(*random_));
  EXPECT_EQ(keys->key(keys->newest()), key);
  EXPECT_TRUE(std::filesystem::is_empty("."));
}

TEST_F(LocalKeyFile, WhatCannotBeReadOrWrittenIsTold) {
  EXPECT_THAT(local_keys(write("1 x", "local-key")).error().detail, testing::HasSubstr("key 1 is not base64"));
  const auto keys = *local_keys("none/local-key");
  EXPECT_THAT(keys->prepare(*random_).error().detail, testing::HasSubstr("cannot be written: No such file"));
  EXPECT_EQ(keys->newest(), 0u);
}

}  // namespace
}  // namespace millrace::config
