/* SPDX-License-Identifier: MIT */
#ifndef HEADWAY_ANNOTATE_H
#define HEADWAY_ANNOTATE_H
#endif
