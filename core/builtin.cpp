// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/builtin.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr std::string_view kModel = "models/bitloom-story-11m-f16.gguf";
constexpr std::string_view kCalibration = "texts/calibration.txt";
constexpr std::string_view kEvaluation = "texts/evaluation.txt";

Result<std::filesystem::path> findResource(std::string_view relative) {
  std::error_code failed;
  const std::filesystem::path program =
      std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  std::vector<std::filesystem::path> folders;
  if (!failed) {
    folders.push_back(program / "resources");
    folders.push_back(program / "../share/bitloom");
    folders.push_back(program / "../../../resources");  // build/<preset>/app
  }
  folders.emplace_back(BITLOOM_RESOURCES);
  for (const std::filesystem::path& folder : folders) {
    const std::filesystem::path path = (folder / relative).lexically_normal();
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) return path;
  }
  return makeError(ErrorCode::NotFound, "The file ", relative,
                   " that comes with Bitloom was not found beside the program, in ",
                   folders.front().parent_path().string(), ".");
}

}  // namespace

Result<std::filesystem::path> builtinModelPath() { return findResource(kModel); }
Result<std::filesystem::path> builtinCalibrationText() { return findResource(kCalibration); }
Result<std::filesystem::path> builtinEvaluationText() { return findResource(kEvaluation); }

Result<std::filesystem::path> resolveModelArgument(std::string_view argument) {
  if (argument == "builtin") return builtinModelPath();
  return std::filesystem::path(argument);
}

Result<std::string> readText(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return makeError(ErrorCode::InvalidArgument, path.string(), " is a folder, not a text file.");
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text;
  if (in) text.assign(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad()) {
    return makeError(errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io, path.string(),
                     " cannot be read: ", std::strerror(errno), ".");
  }
  return text;
}

}  // namespace bitloom
