// SPDX-License-Identifier: GPL-3.0-or-later
// One file in core/codecs/ is a codec: a copy of the sources with a made-up one is built, and it is
// listed, quantizes, infers and evaluates, with no other file touched.
#include "tests/support/process.h"

namespace bitloom {
namespace {

// 16 weights share an f32 scale; each is a signed byte.
constexpr const char* kMadeUp = R"(#include <cmath>
#include "core/block_codec.h"
namespace bitloom {
namespace {
struct Block { float scale; signed char q[16]; };
void encodeBlock(const float* values, const float*, Block& block) {
  float largest = 0;
  for (int i = 0; i < 16; ++i) largest = std::max(largest, std::fabs(values[i]));
  block.scale = largest / 127;
  for (int i = 0; i < 16; ++i) {
    block.q[i] = block.scale > 0 ? static_cast<signed char>(std::lround(values[i] / block.scale)) : 0;
  }
}
void decodeBlock(const Block& block, float* values) {
  for (int i = 0; i < 16; ++i) values[i] = block.scale * block.q[i];
}
using Rows = BlockCodec<16, Block, encodeBlock, decodeBlock>;
}  // namespace
extern const Codec codec_made_up;
const Codec codec_made_up = {.name = "made_up", .title = "MADE_UP", .summary = "Eight bits and a scale.",
                             .fallback = "f16", .bits = 10, .rowBytes = Rows::rowBytes,
                             .encode = Rows::encode, .decode = Rows::decode};
}  // namespace bitloom
)";

TEST(DropInCodec, WorksEverywhereWithNoOtherFileTouched) {
  test::TempDir dir;
  for (const char* folder : {"app", "core", "kernels", "resources"}) {
    std::filesystem::copy(test::sourcePath(folder), dir / folder, std::filesystem::copy_options::recursive);
  }
  std::filesystem::copy(test::sourcePath("CMakeLists.txt"), dir / "CMakeLists.txt");
  test::writeFile(dir / "core/codecs/made_up.cpp", kMadeUp);
  const std::string build = (dir / "build").string();
  const std::string configure = "cmake -G Ninja -S " + dir.path().string() + " -B " + build +
                                " -DCMAKE_CXX_FLAGS=-O1 -DBITLOOM_WINDOW=OFF -DBITLOOM_TESTS=OFF > " + build + ".log 2>&1";
  std::filesystem::create_directories(build);
  ASSERT_EQ(std::system(configure.c_str()), 0) << test::readFile(build + ".log");
  ASSERT_EQ(std::system(("cmake --build " + build + " > " + build + ".log 2>&1").c_str()), 0)
      << test::readFile(build + ".log");

  test::Cli cli(build + "/app/bitloom-cli");
  const auto listed = cli.run({"list", "codecs"});
  EXPECT_NE(listed.out.find("made_up"), std::string::npos) << listed.out << listed.err;
  const auto made = cli.run({"quantize", "builtin", "--codec", "made_up", "-o", cli.path("m.gguf"), "--json"});
  ASSERT_EQ(made.exit, 0) << made.err;
  const auto eval = cli.run({"eval", cli.path("m.gguf"), "--reference", "builtin", "--ctx", "64", "--chunks", "2",
                             "--json"});
  ASSERT_EQ(eval.exit, 0) << eval.err;
  EXPECT_GT(eval.json()["kld"]["mean"].get<double>(), 0);
  EXPECT_LT(eval.json()["kld"]["mean"].get<double>(), 1e-2);
}

}  // namespace
}  // namespace bitloom
