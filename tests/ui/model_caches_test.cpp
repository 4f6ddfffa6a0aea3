// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/model_caches.h"

#include "tests/support/paths.h"

namespace bitloom {
namespace {

TEST(ModelCaches, FindsWhatOtherProgramsKeep) {
  const test::TempDir home;
  const auto put = [&](const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((home / name).parent_path());
    test::writeFile(home / name, bytes);
  };
  put(".cache/huggingface/hub/models--a--b/snapshots/1/b-00001-of-00002.gguf", "GGUF");
  put(".cache/huggingface/hub/models--a--b/snapshots/1/b-00002-of-00002.gguf", "GGUF");
  put(".lmstudio/models/x/y.gguf", "GGUF");
  put(".ollama/models/blobs/sha256-12", "GGUF");
  put(".ollama/models/manifests/registry.ollama.ai/library/qwen3/8b",
      R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:12"},)"
      R"({"mediaType":"application/vnd.ollama.image.template","digest":"sha256:13"}]})");
  const auto found = findCachedModels(QString::fromStdString(home.path().string()));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].title, "b-00001-of-00002");
  EXPECT_EQ(found[1].title, "qwen3:8b");
  EXPECT_TRUE(found[1].path.endsWith("blobs/sha256-12"));
  EXPECT_EQ(found[2].owner, "LM Studio");
}

}  // namespace
}  // namespace bitloom
