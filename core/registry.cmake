# Turns a shelf, a folder in which every *.cpp is an item, into a table.
#
#   add_shelf(target folder Type singular)
#
# `core/codecs/q8_0.cpp` must define `extern const Codec codec_q8_0` in namespace bitloom; the
# generated file lists the symbols in file-name order and defines `codecs()` and `findCodec(name)`.
# A file that forgets its symbol fails at link time with the missing name. An item's helpers live
# in a folder of the item's name.
#
# A fifth argument names the function that returns the table; `codecs()` is then for others to write.
#
#   add_shelf_target(target folder cpu options)
#
# Compiles the items of a shelf once more for the processors of a name, in a namespace of their own:
# `bitloom_avx2::` instead of `bitloom::`, so that no function of theirs is taken for another's.
function(add_shelf target folder type singular)
  set(table_function ${folder})
  if(ARGC GREATER 4)
    set(table_function ${ARGV4})
  endif()
  file(GLOB items CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  file(GLOB helpers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*/*.cpp)
  list(SORT items)
  list(LENGTH items count)
  set(declarations "")
  set(entries "")
  foreach(item IN LISTS items)
    get_filename_component(name ${item} NAME_WE)
    string(APPEND declarations "extern const ${type} ${singular}_${name};\n")
    string(APPEND entries "    &${singular}_${name},\n")
  endforeach()
  set(table ${CMAKE_CURRENT_BINARY_DIR}/${folder}_table.cpp)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT
"// Generated from the files of core/${folder}.
#include <array>

#include \"core/${singular}.h\"

namespace bitloom {
${declarations}
namespace {
constexpr std::array<const ${type}*, ${count}> kItems = {
${entries}};
}  // namespace

std::span<const ${type}* const> ${table_function}() {
  return kItems;
}

#ifndef bitloom
const ${type}* find${type}(std::string_view name) {
  for (const ${type}* item : ${folder}()) {
    if (item->name == name) return item;
  }
  return nullptr;
}
#endif
}  // namespace bitloom
")
  target_sources(${target} PRIVATE ${items} ${helpers} ${table})
  set(shelf_${folder} ${items} ${helpers} ${table} PARENT_SCOPE)
endfunction()

function(add_shelf_target target folder cpu options)
  set(objects ${target}_${folder}_${cpu})
  add_library(${objects} OBJECT ${shelf_${folder}})
  target_compile_definitions(${objects} PRIVATE bitloom=bitloom_${cpu})
  target_compile_options(${objects} PRIVATE ${options})
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
endfunction()
