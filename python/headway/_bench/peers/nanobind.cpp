/* SPDX-License-Identifier: MIT */
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "kernels.h"

namespace nb = nanobind;
using doubles = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

NB_MODULE(bench_nanobind, m)
{
    m.def("sum3", &sum3);
    m.def("total", [](doubles x) { return total(x.data(), x.shape(0)); });
    m.def(
        "total_released", [](doubles x) { return total(x.data(), x.shape(0)); },
        nb::call_guard<nb::gil_scoped_release>());
    m.def("file_name", &file_name);
    nb::class_<point>(m, "point").def(nb::init<double, double, double>());
    m.def("norm", &norm);
}
