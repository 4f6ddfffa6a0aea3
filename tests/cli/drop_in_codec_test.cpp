// SPDX-License-Identifier: GPL-3.0-or-later
// One file in core/codecs/ is a codec. A copy of the sources with a made-up one is configured; what
// that adds is linked into this build's programs, none of which is compiled again.
#include "tests/support/process.h"

namespace bitloom {
namespace {

// 32 weights share an f32 scale; each is a signed byte.
constexpr const char* kMadeUp = R"(#include <cmath>
#include "core/block_codec.h"
namespace bitloom {
namespace {
struct Block { float scale; signed char q[32]; };
void encodeBlock(const float* values, const float*, Block& block) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(values[i]));
  block.scale = largest / 127;
  for (int i = 0; i < 32; ++i) {
    block.q[i] = block.scale > 0 ? (signed char)std::lround(values[i] / block.scale) : 0;
  }
}
void decodeBlock(const Block& block, float* values) {
  for (int i = 0; i < 32; ++i) values[i] = block.scale * block.q[i];
}
using Rows = BlockCodec<32, Block, encodeBlock, decodeBlock>;
}  // namespace
extern const Codec codec_made_up;
const Codec codec_made_up = {.name = "made_up", .title = "MADE_UP",
                             .summary = "Eight bits and a scale.", .fallback = "f16", .bits = 9,
                             .rowBytes = Rows::rowBytes, .encode = Rows::encode,
                             .decode = Rows::decode};
}  // namespace bitloom
)";

bool succeeds(const std::string& command) {
  const bool done = std::system(command.c_str()) == 0;
  EXPECT_TRUE(done) << command;
  return done;
}

// Configures a copy of the sources with the made-up codec and compiles what that adds: the codec
// and the table of the shelf. Empty when it fails.
std::string addedObjects(const test::TempDir& dir) {
  for (const char* folder : {"app", "core", "kernels", "resources"}) {
    std::filesystem::copy(test::sourcePath(folder), dir / folder,
                          std::filesystem::copy_options::recursive);
  }
  std::filesystem::copy(test::sourcePath("CMakeLists.txt"), dir / "CMakeLists.txt");
  test::writeFile(dir / "core/codecs/made_up.cpp", kMadeUp);
  const std::string build = (dir / "build").string();
  const std::string objects = "core/CMakeFiles/bitloom_core.dir/";
  const std::string made = objects + "codecs/made_up.cpp.o", table = objects + "codecs_table.cpp.o";
  std::filesystem::create_directories(build);
  if (!succeeds("cmake -G Ninja -S " + dir.path().string() + " -B " + build +
                " -DBITLOOM_WINDOW=OFF -DBITLOOM_TESTS=OFF") ||
      !succeeds("cmake --build " + build + " --target " + made + " " + table)) {
    return {};
  }
  return build + "/" + made + " " + build + "/" + table;
}

// Links a program of this build again, from the very objects that it was built of and the added
// ones, which come before the library and so take the place of its table.
std::string relink(const std::string& target, const std::string& added, const test::TempDir& dir) {
  const std::string commands = (dir / "commands").string();
  const std::string library = " core/libbitloom_core.a", output = "-o " + target + " ";
  const std::string program = (dir / std::filesystem::path(target).filename()).string();
  if (!succeeds("ninja -C " BITLOOM_BUILD " -t commands -s " + target + " > " + commands))
    return {};
  std::string command = test::readFile(commands);
  const size_t at = command.find(library);
  EXPECT_NE(at, std::string::npos) << command;
  command.insert(at, " " + added);
  const size_t name = command.find(output);
  EXPECT_NE(name, std::string::npos) << command;
  command.replace(name, output.size(), "-o " + program + " ");
  return succeeds("cd " BITLOOM_BUILD " && " + command.substr(command.find(": &&"))) ? program : "";
}

TEST(DropInCodec, WorksEverywhereWithNoOtherFileTouched) {
  const test::TempDir dir;
  const std::string added = addedObjects(dir);
  ASSERT_FALSE(added.empty());

  const std::string program = relink("app/bitloom-cli", added, dir);
  ASSERT_FALSE(program.empty());
  test::Cli cli(program);
  const auto listed = cli.run({"list", "codecs"});
  EXPECT_NE(listed.out.find("made_up"), std::string::npos) << listed.out << listed.err;
  const auto made =
      cli.run({"quantize", "builtin", "--codec", "made_up", "-o", cli.path("m.gguf"), "--json"});
  ASSERT_EQ(made.exit, 0) << made.err;
  const auto eval = cli.run({"eval", cli.path("m.gguf"), "--reference", "builtin", "--ctx", "64",
                             "--chunks", "2", "--json"});
  ASSERT_EQ(eval.exit, 0) << eval.err;
  EXPECT_GT(eval.json()["kld"]["mean"].get<double>(), 0);
  EXPECT_LT(eval.json()["kld"]["mean"].get<double>(), 1e-2);

  const std::string properties = relink("tests/unit_tests", added, dir);
  ASSERT_FALSE(properties.empty());
  const auto promises =
      test::Process(properties, {"--gtest_filter=*CodecPromises*made_up*"}, dir).wait();
  EXPECT_EQ(promises.exit, 0) << promises.out;
  EXPECT_NE(promises.out.find("CodecPromises"), std::string::npos) << promises.out;
}

#ifdef BITLOOM_WINDOW
TEST(DropInCodec, IsOfferedInTheWindow) {
  const test::TempDir dir;
  const std::string added = addedObjects(dir);
  ASSERT_FALSE(added.empty());
  const std::string window = relink("tests/ui_tests", added, dir);
  ASSERT_FALSE(window.empty());
  const auto lists = test::Process(window, {"--gtest_filter=CodecLists.*"}, dir).wait();
  EXPECT_EQ(lists.exit, 0) << lists.out << lists.err;
  EXPECT_NE(lists.out.find("MADE_UP"), std::string::npos) << lists.out;
}
#endif

}  // namespace
}  // namespace bitloom
