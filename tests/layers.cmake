# cmake -DROOT=... -P layers.cmake: fails when a lower layer includes an upper one, Qt, or a
# third-party header that its public headers must not show.
function(forbid folder pattern)
  file(GLOB_RECURSE files ${ROOT}/${folder}/*.h ${ROOT}/${folder}/*.cpp ${ROOT}/${folder}/*.inl)
  foreach(file IN LISTS files)
    file(STRINGS ${file} hits REGEX "^ *# *include [<\"](${pattern})")
    if(hits)
      message(SEND_ERROR "${file}: ${hits}")
    endif()
  endforeach()
endfunction()

# A header named *_state.h is shared by the sources of one part and by nobody else.
function(forbid_in_headers folder pattern)
  file(GLOB_RECURSE files ${ROOT}/${folder}/*.h)
  list(FILTER files EXCLUDE REGEX "_state\\.h$")
  foreach(file IN LISTS files)
    file(STRINGS ${file} hits REGEX "^ *# *include [<\"](${pattern})")
    if(hits)
      message(SEND_ERROR "${file}: ${hits}")
    endif()
  endforeach()
endfunction()

forbid(kernels "Q[A-Z]|core/|ui/|app/|tests/|sqlite3|SQLiteCpp|nlohmann|tbb|oneapi|Eigen")
forbid(core    "Q[A-Z]|ui/|app/|tests/|vulkan/")
forbid(ui      "app/|tests/|sqlite3|SQLiteCpp|vulkan/|kernels/|tbb|oneapi|Eigen|nlohmann")
forbid(app/cli "Q[A-Z]|ui/|tests/|sqlite3|SQLiteCpp|vulkan/|kernels/|tbb|oneapi|Eigen")
forbid(app/studio "tests/|sqlite3|SQLiteCpp|vulkan/|kernels/|tbb|oneapi|Eigen")
forbid_in_headers(core "Eigen|sqlite3|SQLiteCpp|nlohmann|tbb|oneapi|openssl|pcre2|utf8proc")

forbid(ui  "core/.*_state\\.h")
forbid(app "core/.*_state\\.h")

# The link line: core and the command line reach no Qt.
file(READ ${ROOT}/core/CMakeLists.txt core_cmake)
if(core_cmake MATCHES "Qt6")
  message(SEND_ERROR "core/CMakeLists.txt links Qt")
endif()
